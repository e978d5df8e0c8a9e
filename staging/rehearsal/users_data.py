"""What live users wrote, held against the data: each write is kept, exported, or has vanished."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rollproof.errors import ActionFailed, listed
from rollproof.record_names import LOST_WINDOW
from staging.rehearsal.live_users import Write, WriteLog

_SHOWN = 5


@dataclass(slots=True)
class Fates:
    """The acknowledged writes of an account by what became of them; `vanished` are those that nobody has."""

    account: WriteLog
    kept: int = 0
    exported: int = 0
    vanished: list[Write] = field(default_factory=list)

    def __str__(self) -> str:
        """Return the figure in a sentence."""
        refused = self.account.refused
        statuses = ", ".join(f"{code}: {count}" for code, count in sorted(refused.items()))
        return (
            f"Of {len(self.account.acknowledged)} writes of live users that were acknowledged,"
            f" {self.kept} are kept, {self.exported} are exported,"
            f" and {len(self.vanished) or 'none'} vanished;"
            f" {refused.total()} were refused with an error status{f' ({statuses})' if refused else ''},"
            f" and {self.account.cut_off} had no whole answer."
        )

    def require_none_vanished(self) -> None:
        """Require that every write is somewhere."""
        if self.vanished:
            raise ActionFailed(
                what="writes of live users",
                expected="each kept, or exported",
                observed=f"{len(self.vanished)} vanished: {listed([*map(str, self.vanished)], _SHOWN)}",
                source="the stores, and the lost windows of the incident",
                hint="follow one of them: rollback.json and the accounts of the lost window name the stores",
            )


def fates_of(account: WriteLog, held_by: Callable[[str], str], incident: Path) -> Fates:
    """Hold an account against the stores as they are now, and the lost windows of an incident.

    `held_by` returns all that a store holds of live users in a place, as text.
    """
    places = {write.place for write in account.acknowledged}
    held = {place: held_by(place) for place in places}
    exported = {place: _exported(place, incident) for place in places}
    fates = Fates(account)
    for write in account.acknowledged:
        if write.mark in held[write.place]:
            fates.kept += 1
        elif write.mark in exported[write.place]:
            fates.exported += 1
        else:
            fates.vanished.append(write)
    return fates


def _exported(place: str, incident: Path) -> str:
    """Return what the lost windows hold of `place`, as text."""
    store, collection = place.split("/")
    files = sorted(incident.glob(f"{LOST_WINDOW}*/{store}/*{collection}.jsonl"))
    return "\n".join(file.read_text(encoding="utf-8") for file in files)
