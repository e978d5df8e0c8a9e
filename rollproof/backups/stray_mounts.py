"""Mounts of the application that can be written to: each belongs to a store, or holds no state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rollproof.engines.engine import Container, ContainerEngine, Mount, mounts_at
from rollproof.errors import ActionFailed, listed
from rollproof.git.repository import unknown_to_git
from rollproof.profile.kinds import kinds
from rollproof.profile.profile import Target


def stray_mounts(target: Target, engine: ContainerEngine) -> dict[str, str]:
    """Return the mounts that may hold state and are of no store: ``SERVICE:PLACE``, and what is mounted.

    A volume that a store's own service mounts too is that store's. What git knows of the application's
    repository is code: a checkout brings it back, and nothing else of a folder there. What the profile calls
    stateless is left out.

    Services that the profile does not name count too, unless they have completed. One may be a database of a
    kind that no store is of, or a worker that was forgotten.

    Raises:
        Problem: the engine does not answer, or git does not tell what is in the repository.
    """
    there = engine.containers()
    found = dict(_written(target, there))
    unnamed = {service for service in there if service not in target.services}
    return {
        place: f"{told}, of a service that the profile does not name"
        if place.partition(":")[0] in unnamed
        else told
        for place, told in found.items()
    }


def _written(target: Target, there: Mapping[str, Sequence[Container]]) -> Iterator[tuple[str, str]]:
    """Yield each mount that may hold state and is of no store, and what is mounted."""
    held = {place for store in target.stores.values() for place in store.mounts}
    stateless = {
        (service, place) for service, _, place in (one.partition(":") for one in target.application.stateless)
    }
    known = held | stateless
    of_stores = {
        mount.name
        for store in target.stores.values()
        for service in store.services
        for container in there.get(service, ())
        for mount in container.mounts
    }
    # A volume that two services mount is held by the name that it has in one of them.
    going_back = {m.name for service, place in held for m in mounts_at(there.get(service, ()), place)}
    of_stores |= going_back
    maintenance = target.application.maintenance
    stopped = set(target.application.services) - {maintenance.service if maintenance else ""}
    own = {service for store in target.stores.values() for service in store.services}
    for service in sorted({*target.application.services, *(set(there) - own)}):
        for container in there.get(service, ()):
            if service not in target.application.services and container.completed:
                continue
            for mount in container.mounts:
                if mount.writable and mount.name in going_back and service not in stopped:
                    # It could not be put back under a writer.
                    yield (
                        f"{service}:{mount.destination}",
                        f"{_told(mount)} of a store, whose writer no rollback stops",
                    )
                if not mount.may_hold_state or mount.name in of_stores:
                    continue
                if any(mount.at(place) for one, place in known if one == service):
                    continue
                if mount.kind == "bind" and Path(mount.source).is_relative_to(target.application.repository):
                    if strange := unknown_to_git(target.application.repository, Path(mount.source)):
                        told = f"{_told(mount)}, where git does not know {listed(strange, 3)}"
                        yield f"{service}:{mount.destination}", told
                else:
                    yield f"{service}:{mount.destination}", _told(mount)


def require_held(target: Target, engine: ContainerEngine) -> None:
    """Refuse a backup or a baseline that would leave out state of the application.

    Raises:
        ActionFailed: a mount may hold state, and belongs to no store.
    """
    if stray := stray_mounts(target, engine):
        sections = [kind.holding(list(stray)) for kind in kinds().values() if kind.holding is not None]
        raise ActionFailed(
            what="volumes of the application",
            expected="each held by a store and written to by what a rollback stops, or called stateless",
            observed=", ".join(f"{place} ({what})" for place, what in stray.items()),
            source=f"containers of project {target.engine.project}",
            hint=f"add {' or '.join(sections)}, and its service to application.services; or name those"
            " without state, with the reason, in application.stateless",
        )


def _told(mount: Mount) -> str:
    return f"volume {mount.name}" if mount.kind == "volume" else f"folder {mount.source}"
