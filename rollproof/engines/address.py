"""The address of the container engine: the one that `docker` asks on this machine, a rootless one too."""

from __future__ import annotations

from typing import Any

from rollproof.errors import Unverifiable
from rollproof.system.docker_context import DEFAULT, context_name

DEFAULT_HOST = "unix:///var/run/docker.sock"


def connection() -> dict[str, Any]:
    """Return the SDK's settings for a client: `base_url` and, if need be, `tls`."""
    name = context_name()
    if name == DEFAULT:
        from docker.utils import kwargs_from_env  # noqa: PLC0415 - the SDK only where it is used

        return {"base_url": DEFAULT_HOST, **kwargs_from_env()}
    from docker.context import Context  # noqa: PLC0415 - the same

    context = Context.load_context(name)
    if context is None or not context.Host:
        raise Unverifiable(
            what=f"docker context {name}",
            expected="a context with an address",
            observed="none",
            source="DOCKER_CONTEXT, or currentContext of docker's config.json",
            hint="docker context ls; then: docker context use NAME, or export DOCKER_HOST=unix:///…",
        )
    tls = context.tls_cfg.get("docker")
    return {"base_url": context.Host, **({} if tls is None else {"tls": tls})}


def endpoint() -> str:
    """Return where the engine is asked: a URL."""
    return str(connection()["base_url"])


def engine_is_here() -> bool:
    """Return whether the engine runs on this host, so that its files are."""
    return endpoint().startswith("unix://")
