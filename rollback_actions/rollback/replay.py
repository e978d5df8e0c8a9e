"""The exported records of a lost window, put back into the store that was rolled back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from reports.terminal.progress import ProgressStep
from rollback_actions.containers.compose import ComposeControl
from rollback_actions.containers.control import open_control
from rollback_actions.outside import Outside
from rollback_actions.session.session import open_lock, open_session, require_own_engine
from rollproof.backups.sets import every_field
from rollproof.engines.engine import ContainerEngine, open_engine
from rollproof.errors import Meaning, Problem, Unverifiable, UsageProblem, listed
from rollproof.home import typed
from rollproof.incident.incident import Incident, load_incident
from rollproof.incident.journal import Step
from rollproof.losses.lost_window import ExportedFile, Pair, find_exported
from rollproof.planning.unfinished import unfinished_of
from rollproof.profile.profile import Target, load_target
from rollproof.stores.keepers import BACKUP_SECONDS
from rollproof.stores.policy import pace_of
from rollproof.stores.registry import ReaderOpener

ANOTHER = "another version is there: --overwrite replaces it"
READS_OTHERWISE = "written, and the store gives another version: a trigger, a default or its schema differs"


@dataclass(frozen=True, slots=True)
class PutBack:
    """The result of a replay: `left` are the records that were not put back, each with the reason.

    `left_out` are columns of those put back that the collection no longer has.
    """

    records: int
    left: tuple[tuple[Pair, str], ...]
    left_out: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the counts in words."""
        text = f"put back: {self.records - len(self.left):,}; not put back: {len(self.left):,}"
        return text + (f"; without {listed(self.left_out)}, which is there no more" if self.left_out else "")


def replay(profile: Path, file: Path, *, overwrite: bool, take_over: bool) -> bool:
    """Put the records of `file` back, print what became of them; return True if all are back."""
    target = load_target(profile)
    exported = find_exported(file.resolve())
    incident = incident_of(target, exported.path)
    what = f"{exported.store}: {exported.collection}"
    with writing(target, incident, Step.PUT_BACK, what, take_over=take_over) as step:
        engine, control = open_engine(target.engine), open_control(target.engine)
        found = put_back(target, engine, control, exported, overwrite=overwrite)
        step.result = str(found)
    redact = target.redactor().text
    typer.echo(redact(f"{what}: {found}"))
    for (key, _), reason in found.left:
        typer.echo(redact(f"  {key}: {reason}"))
    return not found.left


@contextmanager
def writing(
    target: Target, incident: Incident, kind: Step, what: str, *, take_over: bool
) -> Iterator[ProgressStep]:
    """Hold the target's lock for a step of `kind` on records of `what`, journalled in `incident`.

    Raises:
        UsageProblem: a rollback is under way, or another command holds the lock.
    """
    require_own_engine(target)
    lock = open_lock(target, f"{Step.REPLAY} {what}", take_over=take_over)

    def choose() -> str:
        if unfinished := unfinished_of(target.folders.incidents, target.name):
            raise UsageProblem(
                what=f"{Step.REPLAY} of {what}",
                expected="no rollback under way, which would remove the records again",
                observed=f"that of incident {unfinished[0].incident.id}",
                source=str(target.folders.incidents),
                hint=f"finish it first: {typed('rollback resume')}",
            )
        return incident.id

    with open_session(target, lock, Step.REPLAY, choose) as session, session.steps(kind, what) as step:
        yield step


def put_back(
    target: Target,
    engine: ContainerEngine,
    control: ComposeControl,
    exported: ExportedFile,
    outside: Outside | None = None,
    *,
    overwrite: bool,
) -> PutBack:
    """Write the records of `exported` that are not in their store, one by one, and read them back."""
    outside = outside or Outside()
    wanted = exported.check()
    # Of equal rows without a key, the backup may have brought back some, and the file holds only the others.
    needed = exported.before()
    there = _there(target, engine, exported, {key for key, _ in wanted}, outside.open_reader)
    missing = {pair: needed[pair] - there[pair] for pair in wanted}
    other_version = {key for key, _ in there}
    left: list[tuple[Pair, str]] = []
    written: list[Pair] = []
    profile = target.stores[exported.store]
    keeper = outside.open_keeper(exported.store, profile, engine, control, BACKUP_SECONDS)
    with keeper.putting(exported.collection, exported.path.parent, overwrite=overwrite) as put:
        for record in exported.records():
            pair = record.key, record.hash
            if missing[pair] <= 0:
                continue
            missing[pair] -= 1
            if record.key in other_version and there[pair] == 0 and not (overwrite or put.appends):
                left.append((pair, ANOTHER))
                continue
            try:
                put.write(record)
                written.append(pair)
            except Problem as problem:
                if problem.means in {Meaning.TIMEOUT, Meaning.UNREACHABLE}:
                    raise
                left.append((pair, str(problem.observed)))
        appends = put.appends
    if written and not appends:
        whole = not put.left_out
        left += _otherwise(
            target, engine, exported, Counter(written), needed, outside.open_reader, whole=whole
        )
    return PutBack(wanted.total(), tuple(left), tuple(sorted(put.left_out)))


def _otherwise(
    target: Target,
    engine: ContainerEngine,
    exported: ExportedFile,
    written: Counter[Pair],
    needed: Counter[Pair],
    open_reader: ReaderOpener,
    *,
    whole: bool,
) -> Iterator[tuple[Pair, str]]:
    """Yield the `written` records that the store does not give back as they were.

    Of those that are not `whole`, since columns were left out, it gives back the key.
    """
    try:
        keys = {key for key, _ in written}
        there, reason = _there(target, engine, exported, keys, open_reader), READS_OTHERWISE
    except Problem as problem:
        there, reason = Counter[Pair](), f"written, and not read back: {problem.summary}"
    back = set() if whole else {key for key, _ in there}
    for pair, number in written.items():
        if pair[0] in back:
            continue
        yield from [(pair, reason)] * min(number, needed[pair] - there[pair])


def _there(
    target: Target,
    engine: ContainerEngine,
    exported: ExportedFile,
    keys: set[str],
    open_reader: ReaderOpener,
) -> Counter[Pair]:
    """Return the present records with one of `keys`, by key and hash."""
    profile = every_field(target.stores[exported.store])
    with open_reader(exported.store, profile, engine) as content:

        def read(division: tuple[str, ...], parts: list[int]) -> Counter[Pair]:
            found = content.records(exported.collection, division, parts, pace_of(profile))
            return Counter((record.key, record.hash) for _, record in found if record.key in keys)

        try:
            return read(exported.division, exported.parts)
        except Unverifiable:
            # The restore may have brought back another key, by which this division does not fit.
            content.close()
            return read(("",), [0])


def incident_of(target: Target, file: Path) -> Incident:
    """Return the incident of `file`, which is in a store's folder of its lost window.

    Raises:
        UsageProblem: it is not of a store of `target`.
    """
    folder, store = file.parents[2], file.parent.name
    incident = load_incident(folder)
    ours = incident.target == target.name and folder.parent == target.folders.incidents.resolve()
    if not (ours and store in target.stores):
        raise UsageProblem(
            what="exported records",
            expected=f"those of a store of {target.name}, below {target.folders.incidents}",
            observed=f"those of store {store} of {incident.target}",
            source=str(file),
            hint="name the profile of that target, with the stores' names of then: --target",
        )
    return incident
