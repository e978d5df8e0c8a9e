#!/bin/sh
# install-requirements FILE: the pinned packages of FILE into /opt/venv, trusting the builder's CA bundle
# (build secret "ca") where there is one.
set -eu
if [ -s /run/secrets/ca ]; then
  PIP_CERT=/run/secrets/ca
  export PIP_CERT
fi
exec timeout 600 /opt/venv/bin/pip install --quiet --no-deps --requirement "$1"
