"""That a scratch instance shares nothing with its target that could be written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fixtures.errors import Mismatch, listed

Configuration = Mapping[str, Any]
"""What docker compose makes of its files: services, volumes and networks, by name."""


def require_apart(target: Configuration, scratch: Configuration, services: Sequence[str]) -> None:
    """See that `services` of the scratch instance share nothing with the target that can be written.

    Raises:
        Mismatch: they do; it names all of it.
    """
    shared = [
        *_shared_by_name("volumes", target, scratch),
        *_shared_by_name("networks", target, scratch),
        *(
            problem
            for name in closure(scratch, services)
            for problem in _shared(name, scratch["services"][name], target, scratch)
        ),
    ]
    if shared:
        raise Mismatch(
            what="scratch instance",
            expected="nothing in common with the target that can be written",
            observed=listed(list(dict.fromkeys(shared))),
            source="docker compose config",
            hint="give the scratch instance others in a compose file of its own: premigration.scratch.files",
        )


def _shared_by_name(kind: str, target: Configuration, scratch: Configuration) -> Iterator[str]:
    """Yield what compose would make, and remove, under a name of the target's, whichever service has it."""
    theirs = {found["name"] for found in (target.get(kind) or {}).values()}
    for found in (scratch.get(kind) or {}).values():
        if not found.get("external") and found["name"] in theirs:
            yield f"{kind.removesuffix('s')} {found['name']}"


def _shared(
    name: str, service: Configuration, target: Configuration, scratch: Configuration
) -> Iterator[str]:
    yield from _shared_names(name, service)
    yield from _shared_mounts(name, service, scratch)
    yield from _shared_addresses(name, service, target)
    for network in service.get("networks") or ():
        if scratch["networks"][network].get("external"):
            yield f"network {scratch['networks'][network]['name']} of {name}"
    taken = _published(target)
    for port in service.get("ports") or ():
        if str(port.get("published")) in taken:
            yield f"port {port['published']} of {name}"


def _shared_names(name: str, service: Configuration) -> Iterator[str]:
    for key in ("network_mode", "pid", "ipc"):
        if service.get(key) and service[key] not in {"none", "private", "bridge"}:
            yield f"{key} {service[key]} of {name}"
    for key in ("volumes_from", "external_links", "container_name", "extra_hosts"):
        if service.get(key):
            yield f"{key} of {name}"


def _shared_addresses(name: str, service: Configuration, target: Configuration) -> Iterator[str]:
    """Yield what a service is told of the host, through which the target's stores can be reached."""
    for key, value in (service.get("environment") or {}).items():
        ports = set(re.findall(r":(\d+)", str(value))) & _published(target)
        if "host.docker.internal" in str(value) or ports:
            yield f"address in {key} of {name}"


def _published(target: Configuration) -> set[str]:
    return {
        str(port["published"])
        for other in target["services"].values()
        for port in other.get("ports") or ()
        if port.get("published")
    }


def _shared_mounts(name: str, service: Configuration, scratch: Configuration) -> Iterator[str]:
    for mount in service.get("volumes") or ():
        source = mount.get("source")
        if mount["type"] == "bind" and (not mount.get("read_only") or str(source).endswith(".sock")):
            yield f"folder {source} of {name}"
        if mount["type"] != "volume" or not source:
            continue
        volume = scratch["volumes"][source]
        if volume.get("external"):
            yield f"volume {volume['name']} of {name}"
        elif place := _elsewhere(volume):
            yield f"volume {source} of {name}, which is {place}"


def _elsewhere(volume: Configuration) -> str:
    """Return where the data of a volume is, if it is no folder of the engine's own; "" if it is."""
    options = volume.get("driver_opts") or {}
    if volume.get("driver", "local") != "local":
        return f"of driver {volume['driver']}"
    return (
        "" if options.get("type", "tmpfs") == "tmpfs" else f"at {options.get('device', 'a place of its own')}"
    )


def closure(described: Configuration, services: Sequence[str]) -> list[str]:
    """Return `services` and all that they depend on."""
    found: list[str] = []
    waiting = list(services)
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found.append(name)
            waiting += list(described["services"][name].get("depends_on") or {})
    return found
