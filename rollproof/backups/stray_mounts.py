"""Mounts of the application that can be written to: each belongs to a store, or holds no state."""

from __future__ import annotations

import json
from pathlib import Path

from rollproof.engines.engine import ContainerEngine, mounts_at
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
    there, application, repository = engine.containers(), target.application, target.application.repository
    held = {place for store in target.stores.values() for place in store.mounts}
    stateless = {
        (service, place) for service, _, place in (one.partition(":") for one in application.stateless)
    }
    # A volume is one thing, whichever service it is declared by.
    without_state = {mount.name for one, place in stateless for mount in mounts_at(there.get(one, ()), place)}
    own = {service for store in target.stores.values() for service in store.services}
    # A volume that two services mount is held by the name that it has in one of them.
    going_back = {mount.name for service, place in held for mount in mounts_at(there.get(service, ()), place)}
    of_stores = {mount.name for service in own for one in there.get(service, ()) for mount in one.mounts}
    maintenance = application.maintenance
    stopped = set(application.services) - {maintenance.service if maintenance else ""}
    found: dict[str, str] = {}
    for service in sorted({*application.services, *(set(there) - own)}):
        known = [place for one, place in held | stateless if one == service]
        of_whom = "" if service in target.services else ", of a service that the profile does not name"
        completes = service not in application.services
        containers = [one for one in there.get(service, ()) if not (completes and one.completed)]
        for mount in (mount for container in containers for mount in container.mounts):
            place = f"{service}:{mount.destination}"
            described = f"volume {mount.name}" if mount.kind == "volume" else f"folder {mount.source}"
            if mount.name in going_back:
                if mount.writable and service not in stopped:
                    # It could not be put back under a writer.
                    found[place] = f"{described} of a store, whose writer no rollback stops{of_whom}"
                continue
            declared = mount.name in of_stores | without_state or any(map(mount.at, known))
            if declared or not mount.may_hold_state:
                continue
            if mount.kind == "bind" and Path(mount.source).is_relative_to(repository):
                strange = unknown_to_git(repository, Path(mount.source))
                if not strange:
                    continue
                described += f", where git does not know {listed(strange, 3)}"
            found[place] = f"{described}{of_whom}"
    return found


def require_held(target: Target, engine: ContainerEngine) -> None:
    """Refuse a backup or a baseline that would leave out state of the application.

    Raises:
        ActionFailed: a mount may hold state, and belongs to no store.
    """
    if stray := stray_mounts(target, engine):
        of_kinds = [kind.holding(list(stray)) for kind in kinds().values() if kind.holding is not None]
        sections = [", ".join(f"{key} = {json.dumps(one)}" for key, one in keys.items()) for keys in of_kinds]
        raise ActionFailed(
            what="volumes of the application",
            expected="each held by a store and written to by what a rollback stops, or called stateless",
            observed=", ".join(f"{place} ({what})" for place, what in stray.items()),
            source=f"containers of project {target.engine.project}",
            hint=f"add [stores.state] with {' or '.join(sections)} (for migrations: the database that they"
            " are of), and its service to application.services; or name those without state,"
            " with the reason, in application.stateless",
        )
