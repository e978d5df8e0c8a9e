"""The ledger of a large comparison, in its incident: what workers have answered, to be taken over later.

A digest says how rows were when they were read. Digests of two runs are those of one state only if nothing
was written between them. So a line is taken over only by a comparison of the same terms, which `state_of`
and `terms` of `PartLedger` say; any other begins again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from rollproof.application.client import kept_out
from rollproof.errors import Unverifiable
from rollproof.incident.incident import Incident
from rollproof.incident.ledger import Run, runs
from rollproof.profile.application_profile import Application
from rollproof.record_names import JOURNAL
from rollproof.runbook import PHASES
from rollproof.stores.contract import Digest
from rollproof.system.clock import Moment
from rollproof.system.files import append_line, canonical_json, make_folders
from rollproof.system.record_files import Natural, as_json, load_lines


@dataclass(frozen=True, slots=True)
class PartLine:
    """The answer to one task: the digests of consecutive parts of a collection, from `first` on.

    A digest is a number of records and the sum of their hashes, in hexadecimal. `terms` is a SHA-256 of all
    that must be the same for the line to be taken over. `planned` is the number of all parts.
    """

    terms: str
    collection: str
    planned: Natural
    first: Natural
    digests: tuple[tuple[Natural, str], ...]
    worker: str
    at: Moment


def state_of(incident: Incident, application: Application) -> str | None:
    """Return a name for the state of the target as long as nothing writes to it; None if something may.

    It may unless a rollback has ended and users are seen to be kept out since: only a rollback puts that on.
    The name changes with each line of a journal (a restore, records put back, users let in), with each begin
    of phase 3, in which the canary writes, and with each end of phase 4: only a run that was cut off goes on.
    """
    rollback = incident.rollback()
    if rollback is None or not kept_out(application):
        return None
    journals = sorted(incident.folder.parent.glob(f"*/{JOURNAL}"))
    every = runs(incident.folder)
    begun = [one for run in every if (one := run.begun(PHASES[2])) is not None]
    facts = (
        incident.id,
        rollback.finished.wall,
        sum(path.stat().st_size for path in journals),
        max((one.wall for one in begun), default=""),
        sum(_ended(run) for run in every),
    )
    return " ".join(map(str, facts))


def _ended(run: Run) -> bool:
    """Return whether `run` reported each check of phase 4 that it planned."""
    planned = run.plan().get(PHASES[3])
    return planned is not None and run.results().keys() >= {*planned.checks}


class PartLedger:
    """The ledger of one collection: a file of `PartLine`.

    `terms` are what must be the same for its lines to count: state, baseline, what the profile asks,
    division. Lines of other terms stay in the file, as a record.
    """

    def __init__(self, path: Path, collection: str, planned: int, terms: Sequence[Any]) -> None:
        """Make the folder; nothing is written yet."""
        make_folders(path.parent)
        self._path, self._collection, self._planned = path, collection, planned
        self._terms = sha256(canonical_json(terms)).hexdigest()

    def answered(self) -> Mapping[int, Digest]:
        """Return the digests that may be taken over, by part: of a damaged file none, to read all again."""
        found: dict[int, Digest] = {}
        try:
            for line in load_lines(PartLine, self._path):
                if line.terms == self._terms:
                    for part, (records, total) in enumerate(line.digests, start=line.first):
                        found[part] = Digest(records, int(total, 16))
        except ValueError:  # `WrongRecord` is one
            return {}
        return found

    def append(self, first: int, digests: Sequence[Digest], worker: str) -> None:
        """Record an answer, so that it survives a crash of the machine."""
        pairs = tuple((digest.records, f"{digest.total:x}") for digest in digests)
        line = PartLine(self._terms, self._collection, self._planned, first, pairs, worker, Moment.now())
        try:
            append_line(self._path, as_json(line))
        except OSError as error:
            raise Unverifiable.of_file(
                self._path,
                error,
                what="ledger of a comparison",
                expected="a file that can be added to",
                hint="make room there, or correct the permissions",
            ) from None
