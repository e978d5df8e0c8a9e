"""The containers of a scratch instance, which take the volumes that were saved of the target's."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from fixtures.engines.compose import ComposeEngine
from fixtures.engines.engine import Container
from fixtures.errors import ActionFailed
from fixtures.target import Engine
from rollback_actions.compose import ComposeControl


class ScratchControl(ComposeControl):
    """What may be done to the containers of a scratch instance."""

    def __init__(self, scratch: Engine, target: Engine) -> None:
        """Control the project of `scratch`; saved volumes have the names of those of `target`."""
        super().__init__(scratch)
        self._target = ComposeEngine(target.project, target.deadline_seconds)

    def load_volumes(self, services: Iterable[str], folder: Path, *, deadline: float) -> None:
        """Make each data volume of `services` equal to the tar of the target's volume at the same place."""
        services = tuple(services)
        everything = (c for found in self._target.containers().values() for c in found)
        theirs = dict(_places(everything))
        with tempfile.TemporaryDirectory(prefix="rollproof-") as renamed:
            for place, volume in _places(self._containers(services)):
                if place not in theirs:
                    raise _no_counterpart(place)
                # What is not there is refused by name, where all of them are looked at.
                (Path(renamed) / f"{volume}.tar").symlink_to(folder / f"{theirs[place]}.tar")
            super().load_volumes(services, Path(renamed), deadline=deadline)


def _places(containers: Iterable[Container]) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield service and place inside, and the volume there, of each volume of `containers`."""
    for container in containers:
        for mount in container.mounts:
            if mount.kind == "volume":
                yield (container.service, mount.destination), mount.name


def _no_counterpart(place: tuple[str, str]) -> ActionFailed:
    service, destination = place
    return ActionFailed(
        what=f"volume of {service} at {destination}",
        expected="one of the target's at the same place",
        observed="none",
        source="containers of the target",
        hint="the scratch instance must mount its volumes where the target does",
    )
