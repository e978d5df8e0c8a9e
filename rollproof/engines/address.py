"""The address of the container engine: the one that `docker` asks on this machine, a rootless one too."""

from __future__ import annotations

from typing import Any

from rollproof.errors import Unverifiable
from rollproof.system.docker_context import DEFAULT, context_name

DEFAULT_HOST = "unix:///var/run/docker.sock"


def connection(context: str = "") -> dict[str, Any]:
    """Return the SDK's settings for a client: `base_url` and, if need be, `tls`.

    `context` is a docker context, by default the one in use.
    """
    name = context or context_name()
    if name == DEFAULT:
        from docker.utils import kwargs_from_env  # noqa: PLC0415 - the SDK only where it is used

        return {"base_url": DEFAULT_HOST, **kwargs_from_env()}
    from docker.context import Context  # noqa: PLC0415 - the same

    found = Context.load_context(name)
    if found is None or not found.Host:
        raise Unverifiable(
            what=f"docker context {name}",
            expected="a context with an address",
            observed="none",
            source="DOCKER_CONTEXT, or currentContext of docker's config.json",
            hint="docker context ls; then: docker context use NAME, or export DOCKER_HOST=unix:///…",
        )
    tls = found.tls_cfg.get("docker")
    return {"base_url": found.Host, **({} if tls is None else {"tls": tls})}


def endpoint(context: str = "") -> str:
    """Return where the engine of a docker context is asked, by default of the one in use: a URL."""
    return str(connection(context)["base_url"])


def engine_is_here() -> bool:
    """Return whether the engine runs on this host, so that its files are."""
    return endpoint().startswith("unix://")
