"""The names of references that the backup of a rollback may have cut, and that may dangle after it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from rollproof.backups.sets import MANIFEST, read_backup
from rollproof.errors import Problem
from rollproof.incident.incident import Incident
from rollproof.incident.rollbacks import went_back
from rollproof.planning.status import newest_rollback
from rollproof.profile.profile import Target
from rollproof.profile.sections import Reference
from rollproof.record_names import ROLLBACK, UNFINISHED
from rollproof.stores.references import text_of


class CutNames:
    """The names that moved while a backup was taken, of references whose stores both went back to that one.

    Being among them is no proof that the backup cut a name.
    """

    def __init__(self, target: Target, incident: Incident) -> None:
        """Read where the rollback of `incident`, or else the target's newest rollback, took the stores.

        A later verification, as after a restart, is of the same data. A backup set is read once, when used.
        """
        self._target = target
        self._went_back = went_back(_rolled_back(target, incident))
        self._sets: dict[str, Mapping[str, frozenset[int]]] = {}

    def __call__(self, reference: Reference) -> frozenset[int]:
        """Return the digests of names of `reference` that may dangle: none, unless all is known."""
        places = (reference.referencing, reference.referenced)
        of, to = (self._went_back.get(place.store) for place in places)
        if of is None or of != to:
            return frozenset()
        if of not in self._sets:
            self._sets[of] = self._moved_in(of)
        return self._sets[of].get(text_of(reference), frozenset())

    def _moved_in(self, name: str) -> Mapping[str, frozenset[int]]:
        try:
            backup = read_backup(self._target.folders.backups / name / MANIFEST)
        except Problem:
            return {}
        if backup.target != self._target.name:
            return {}
        return {text: frozenset(int(one, 16) for one in digests) for text, digests in backup.moved.items()}


def _rolled_back(target: Target, incident: Incident) -> Incident:
    if not any((incident.folder / name).exists() for name in (ROLLBACK, UNFINISHED)):
        with suppress(Problem):
            return newest_rollback(target.folders.incidents, target.name, running=None).incident
    return incident
