"""Questions to the container engine's API, each on its own connection and within a deadline."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from math import ceil

from docker import APIClient
from docker.errors import APIError, DockerException, NotFound
from requests.exceptions import RequestException

from rollproof.engines.address import connection, endpoint
from rollproof.engines.engine import EngineUnreached, NotThere
from rollproof.errors import Meaning, Unverifiable, reason_of, unanswered
from rollproof.system.steps import step

# The version of the API by the engine's address. To tell it, an engine starts two programs, which costs more
# than most questions: it is asked once, and again after an error, since another engine may be there by then.
_versions: dict[str, str] = {}


@contextmanager
def asking(what: str, project: str, deadline_seconds: float, context: str = "") -> Iterator[APIClient]:
    """Provide the engine's API for a question about `what` of `project`.

    `context` is the docker context of the engine, by default the one in use.

    Raises:
        EngineUnreached: the engine did not answer. `NotThere`, or another `Unverifiable`: it answered with
            an error.
    """
    try:
        with step(f"container engine: {what}"), closing(_connect(deadline_seconds, context)) as api:
            yield api
    except (DockerException, RequestException, OSError) as error:
        _versions.clear()
        if not isinstance(error, APIError):
            raise _unreached(error, what, deadline_seconds, context) from None
        answer = NotThere if isinstance(error, NotFound) else Unverifiable
        raise answer(
            what=what,
            expected="an answer of success",
            observed=f"{type(error).__name__}: {error}",
            source=f"container engine, project {project}",
            hint="see that the engine runs and that this user may use it: docker version",
        ) from None


def _unreached(error: Exception, what: str, deadline_seconds: float, context: str) -> EngineUnreached:
    """Return the error of an engine without an answer; one that is gone is one cause, whatever was asked."""
    means = unanswered(error)
    late = means is Meaning.TIMEOUT
    system = isinstance(error, OSError) and error.strerror is not None
    return EngineUnreached(
        what=what if late else "container engine",
        expected=f"an answer within {deadline_seconds:g} s" if late else "an answer",
        observed="none" if late else reason_of(error) if system else f"{type(error).__name__}: {error}",
        source=endpoint(context),
        hint="see that the engine runs and that this user may use it:"
        f" docker {f'--context {context} ' if context else ''}version",
        means=means,
    )


def _connect(deadline_seconds: float, context: str) -> APIClient:
    settings = connection(context)
    address = str(settings["base_url"])
    scheme, _, path = address.partition("://")
    if scheme == "unix":
        # The SDK leaves a socket open when nobody listens, and reports less about it.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(deadline_seconds)
            probe.connect(path)
    api = APIClient(**settings, version=_versions.get(address, "auto"), timeout=ceil(deadline_seconds))
    _versions[address] = api.api_version
    return api
