# The suite as an image: `docker run … verify`. What is to be mounted is in docs/howto/container.md.
# `./run image` builds it from the wheel that `./run wheel` has left in dist/, on the base that BASE names.
ARG BASE=debian:trixie-slim
FROM ${BASE}
ENV DEBIAN_FRONTEND=noninteractive PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
# The engine's client with compose, what records are read from and signed with, and what renders a report.
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      ca-certificates docker-cli docker-compose git nodejs npm openssh-client python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv /opt/rollproof
COPY operators.lock /tmp/
RUN --mount=type=secret,id=ca \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi \
 && /opt/rollproof/bin/pip install --quiet --require-hashes --only-binary :all: --requirement /tmp/operators.lock
COPY dist/rollproof-*.whl /tmp/
# Allure's place is in the suite: whoever runs it may have no home.
RUN --mount=type=secret,id=ca \
    if [ -s /run/secrets/ca ]; then export NODE_EXTRA_CA_CERTS=/run/secrets/ca; fi \
 && /opt/rollproof/bin/pip install --quiet --no-index --no-deps /tmp/rollproof-*.whl \
 && suite=$(/opt/rollproof/bin/python -c 'import rollproof; print(rollproof.SUITE)') \
 && mkdir "$suite/.tools" \
 && PYTHONPATH=$suite /opt/rollproof/bin/python -c 'from reports.tools.node import find_allure; find_allure(print)' \
 && rm -rf /root/.npm /tmp/* \
 && useradd --create-home --uid 1000 rollproof \
 && install -d -m 1777 /state \
 && git config --system --add safe.directory '*'
# Saved commits, locks and crashes of every run; a volume keeps them.
ENV PATH=/opt/rollproof/bin:$PATH XDG_STATE_HOME=/state
USER rollproof
WORKDIR /work
ENTRYPOINT ["rollproof"]
CMD ["--help"]
