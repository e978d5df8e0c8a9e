"""Where the lock of a target is: empty volumes of its container engine, whose labels hold records.

To create a volume that is there already changes nothing, and tells what the first creator wrote: of any
number of creators, on whatever machines, one is the first. A volume outlives containers, a prune of them,
and a restart of the engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from docker.errors import NotFound

from fixtures.engines.asking import asking

LABEL = "rollproof.lock"


class LockVolumes:
    """The numbered records of the lock of compose project `project`: see `rollback_actions.lock.Place`."""

    def __init__(self, project: str, deadline_seconds: float) -> None:
        """Ask nothing yet; every question later has `deadline_seconds`."""
        self.project = project
        self.deadline_seconds = deadline_seconds
        self._prefix = f"rollproof-lock-{project}-"
        self._what = f"lock of project {project}"

    def name(self, number: int) -> str:
        """Return what the engine calls record `number`."""
        return f"{self._prefix}{number}"

    def records(self) -> Mapping[int, Mapping[str, str]]:
        """Return what all records say, by their numbers."""
        wanted = f"^{re.escape(self._prefix)}[0-9]+$"
        with asking(self._what, self.project, self.deadline_seconds) as api:
            found = {}
            for volume in api.volumes(filters={"name": wanted})["Volumes"] or ():
                name, labels = str(volume["Name"]), volume.get("Labels")
                if not labels:
                    # The list shows a volume a moment before its labels; this question waits for them.
                    try:
                        labels = api.inspect_volume(name).get("Labels")
                    except NotFound:
                        continue  # removed since it was listed
                found[int(name.removeprefix(self._prefix))] = _words(labels)
        return found

    def add(self, number: int, record: Mapping[str, str]) -> Mapping[str, str]:
        """Write record `number` unless it is there; return what it says then."""
        labels = {LABEL: self.project, **{f"{LABEL}.{key}": value for key, value in record.items()}}
        with asking(self._what, self.project, self.deadline_seconds) as api:
            return _words(api.create_volume(self.name(number), labels=labels).get("Labels"))

    def remove(self, numbers: Iterable[int]) -> None:
        """Remove those records, as far as they are there."""
        with asking(self._what, self.project, self.deadline_seconds) as api:
            for number in numbers:
                try:
                    api.remove_volume(self.name(number))
                except NotFound:
                    continue  # another one was quicker

    def clear(self) -> None:
        """Remove every record, whoever holds the lock: for a target that is gone."""
        self.remove(self.records())


def _words(labels: Mapping[str, str] | None) -> Mapping[str, str]:
    return {
        key.removeprefix(f"{LABEL}."): value
        for key, value in (labels or {}).items()
        if key.startswith(f"{LABEL}.")
    }
