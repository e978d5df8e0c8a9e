"""The things that a command needs for its changes: the target's lock, an incident, its journal."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import typer
from docker.errors import NotFound

from reports.terminal.progress import Progress, ProgressStep
from rollproof.baseline.folder import Baseline
from rollproof.baseline.known_good import require_engine
from rollproof.engines.engine import open_engine
from rollproof.engines.insides import asking
from rollproof.errors import ActionFailed, Problem, Unverifiable, UsageProblem
from rollproof.home import typed
from rollproof.incident.incident import Incident, find_or_create_incident
from rollproof.incident.journal import (
    FIRST,
    JournalEvent,
    JournalLine,
    Step,
    hash_of,
    out_of_reach,
    verify_journal,
)
from rollproof.incident.leaks import without_leaks
from rollproof.planning.advice import TAKE_OVER
from rollproof.planning.status import FREE, LABEL, LockFileRecords, LockRecords, read_lock, record_of
from rollproof.profile.profile import Target
from rollproof.reading import read_regular
from rollproof.record_names import JOURNAL
from rollproof.sealing.seal import sealed
from rollproof.system.clock import Moment
from rollproof.system.command import Ran, observed
from rollproof.system.files import append_line
from rollproof.system.holder import Holder, author, file_lock
from rollproof.system.process import Life, unhung
from rollproof.system.record_files import as_json


class LockVolumes(LockRecords):
    """The numbered records of a compose project's lock, read and written."""

    def add(self, number: int, record: Mapping[str, str]) -> Mapping[str, str]:
        """Write record `number` unless it exists; return what it holds then, which is the first writer's."""
        labels = {LABEL: self.project, **{f"{LABEL}.{key}": value for key, value in record.items()}}
        with asking(self._what, self.project, self.deadline_seconds) as api:
            return record_of(api.create_volume(self.name(number), labels=labels).get("Labels"))

    def remove(self, numbers: Iterable[int]) -> None:
        """Remove the records `numbers`, if they still exist."""
        with asking(self._what, self.project, self.deadline_seconds) as api:
            for number in numbers:
                with suppress(NotFound):  # another process was quicker
                    api.remove_volume(self.name(number))


class LockFiles(LockFileRecords):
    """The records of a lock in files, read and written."""

    def add(self, number: int, record: Mapping[str, str]) -> Mapping[str, str]:
        """Write record `number` unless it exists; return what it holds then, which is the first writer's."""
        path, whole = Path(self.name(number)), self.folder / f"{number}.{uuid.uuid4().hex}"
        try:
            with suppress(FileExistsError):
                self.folder.mkdir()
                # Whoever acts on the target takes the lock; nobody removes what is another's.
                self.folder.chmod(0o1777)
            whole.write_text(json.dumps(dict(record)), encoding="utf-8")
            # A link is made whole or not at all, and never over another.
            with suppress(FileExistsError):
                path.hardlink_to(whole)
            whole.unlink()
            written: Mapping[str, str] = json.loads(read_regular(path))
        except OSError as error:
            hint = f"see who may write there: ls -ld {self.folder}"
            raise Unverifiable.of_file(
                self.folder, error, what=self._what, expected="a folder that can be written", hint=hint
            ) from None
        return written

    def remove(self, numbers: Iterable[int]) -> None:
        """Remove the records `numbers`, if they still exist."""
        for number in numbers:
            with suppress(PermissionError):  # another user's, of a lock that was taken over
                Path(self.name(number)).unlink(missing_ok=True)


class TargetLock:
    """The lock of one target for one process, held while its body runs. A context manager."""

    def __init__(
        self, records: LockVolumes | LockFiles, target: str, what: str, *, take_over: bool = False
    ) -> None:
        """Hold nothing yet. `what` is the action under the lock.

        With `take_over` the operator says that the holder has ended.
        """
        self.holder = Holder.doing(what)
        self.taken_from: Holder | None = None
        self.lost = False  # another process has taken it over
        self._records = records
        self._target = target
        self._take_over = take_over

    def __enter__(self) -> Self:
        """Take the lock."""
        while True:
            number, self.taken_from = self._free_or_refuse()
            try:
                if self._add(number + 1, self.holder.record()):
                    return self
            except BaseException:
                # The lock may name this process already: nobody else could give it back.
                self._release()
                raise

    def __exit__(self, *exception: object) -> None:
        """Give the lock back, unless another process has taken it over."""
        self._release()

    def require(self) -> None:
        """Check that this process still holds the lock."""
        number, holder = read_lock(self._records)
        if holder is None or holder.token != self.holder.token:
            self.lost = True
            raise ActionFailed(
                what=f"lock of target {self._target}",
                expected="held by this process still",
                observed=f"held by {holder}" if holder else "free",
                source=self._records.name(number),
                hint=f"it was taken over, so this one stops; what the other does: {typed('rollback status')}",
            )

    def refuse_held(self) -> None:
        """Refuse if taking the lock now would be refused; takes nothing.

        Raises:
            UsageProblem: somebody holds it, who is named. `Problem`: the engine does not answer.
        """
        self._free_or_refuse()

    def _free_or_refuse(self) -> tuple[int, Holder | None]:
        """Return the highest number, and the holder to take the lock over from, None if it is free.

        Raises:
            UsageProblem: another holder has it.
        """
        number, holder = read_lock(self._records)
        if holder is None:
            return number, None
        life = holder.life()
        if self._take_over and life is not Life.RUNS:
            return number, holder
        raise UsageProblem(
            what=f"lock of target {self._target}",
            expected="free",
            observed=f"held by {holder}, {life}",
            source=self._records.name(number),
            hint={
                Life.RUNS: f"wait for it, or end it first; how far it is: {typed('rollback status')}",
                Life.ENDED: f"nobody will give it back: add {TAKE_OVER}",
                Life.UNKNOWN: f"ask {holder.user}, or look on its machine; when it is over, add {TAKE_OVER}",
            }[life],
        )

    def _add(self, number: int, record: Mapping[str, str]) -> bool:
        """Make `record` the highest, with `number`; return whether it is."""
        if self._records.add(number, record) != record:
            return False
        numbers = self._records.records()
        highest = max(numbers, default=0)
        self._records.remove(one for one in numbers if one < highest)
        return highest == number

    def _release(self) -> None:
        # Reported, not raised: the action is done, whatever happens to the lock.
        try:
            number, holder = read_lock(self._records)
            if holder is not None and holder.token == self.holder.token:
                self._add(number + 1, FREE)
        except Problem as problem:
            with suppress(OSError):
                typer.echo(
                    f"the lock was not given back ({problem.summary}): add {TAKE_OVER} to the next command",
                    err=True,
                )


def open_lock(target: Target, what: str, *, take_over: bool = False) -> TargetLock:
    """Return the lock of `target`, not taken yet."""
    engine = target.engine
    in_volumes = engine.of_kind.has_volumes
    records = (
        LockVolumes(engine.project, engine.deadline_seconds) if in_volumes else LockFiles(engine.project)
    )
    return TargetLock(records, target.name, what, take_over=take_over)


Detail = str | float | Sequence[str] | Mapping[str, object] | None
"""What a record says by a name; see `JournalLine`."""


class Journal:
    """Writes the journal of one incident; usable from threads, but not from two processes: see `lock`."""

    def __init__(self, path: Path, redact: Callable[[str], str]) -> None:
        """Continue the journal at `path`; every text goes through `redact` before it is written."""
        self.path = path
        self._redact = redact
        self._lock = threading.Lock()
        self._read()

    def _read(self) -> None:
        records = verify_journal(self.path)
        self._previous = records[-1]["hash"] if records else FIRST
        self._sequence = len(records)
        self._unsure = False

    def write(self, event: str, **details: Detail) -> int:
        """Append one record; it is on the disk when this returns. Return its number."""
        with self._lock:
            if self._unsure:
                self._read()
            line = JournalLine(self._sequence, Moment.now(), event, self._previous)
            record = {**as_json(line), **{name: self._written(value) for name, value in details.items()}}
            record["hash"] = hash_of(record)
            # Where the disk fails, the line may exist all the same.
            self._unsure = True
            try:
                append_line(self.path, record)
            except OSError as error:
                raise out_of_reach(self.path, "written", error) from None
            self._previous, self._sequence, self._unsure = record["hash"], self._sequence + 1, False
            return int(record["sequence"])

    def _written(self, value: object) -> object:
        match value:
            case str():
                return self._redact(value)
            case Mapping():
                return {name: self._written(one) for name, one in value.items()}
            case Sequence():
                return [self._written(one) for one in value]
            case _:
                return value

    def ran(self, ran: Ran) -> None:
        """Record that a program runs, or that it ran: its command, exit code and output."""
        if ran.seconds or ran.code is not None:
            seconds = round(ran.seconds, 3)
            output = self._redact(ran.output)
            self.write(JournalEvent.RAN, command=ran.command, code=ran.code, output=output, seconds=seconds)
        else:
            self.write(JournalEvent.RUNS, command=ran.command)

    @contextmanager
    def step(self, name: str, **details: Detail) -> Iterator[dict[str, str | float]]:
        """Write `started` before the body, `ended` or `failed` after it; the body may add to the result.

        `name` is for people. `id` and `of` among the `details` identify the step, in both records.
        """
        started = Moment.now()
        began = self.write(JournalEvent.STARTED, step=name, **details)
        known = {key: value for key, value in details.items() if key in {"id", "of"}}
        same: dict[str, Any] = {"step": name, **known, "began": began}
        result: dict[str, str | float] = {}
        try:
            yield result
        except BaseException as error:
            seconds = round(Moment.now().seconds_since(started), 3)
            try:
                self.write(
                    JournalEvent.FAILED,
                    **same,
                    seconds=seconds,
                    error=f"{type(error).__name__}: {error}",
                )
            except ActionFailed as unwritten:
                # The first failure matters; the step around it may have noted the same.
                if str(unwritten) not in [str(error), *getattr(error, "__notes__", [])]:
                    error.add_note(str(unwritten))
            raise
        seconds = round(Moment.now().seconds_since(started), 3)
        self.write(JournalEvent.ENDED, **same, seconds=seconds, **result)


# A writer has a journal for a moment; a slow disk may make that longer.
_RECORD_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Session:
    """The things that every command works with."""

    incident: Incident
    steps: Recorder


def require_own_engine(target: Target, baseline: Baseline | None = None, *, capturing: bool = False) -> None:
    """Refuse an engine that is not the target's, and print what is unsure; see `require_engine`.

    It is asked before the lock is taken, which is a volume of the engine.
    """
    if unsure := require_engine(target, open_engine(target.engine), baseline, capturing=capturing):
        typer.echo(unsure, err=True)


@contextmanager
def open_session(
    target: Target, lock: TargetLock, command: Step, choose: Callable[[], str | None]
) -> Iterator[Session]:
    """Take the target's lock, open the journal for `command`; at the end, seal the record, print its place.

    `choose` is called under the lock; it names the incident to add to, or returns None for a new one.

    Raises:
        UsageProblem: another command holds the lock. `SecretInRecord`: the body ended well, and the record
            holds a secret.
    """
    redactor = target.redactor()
    with unhung(), lock, Progress(redact=redactor.text) as progress:
        found = find_or_create_incident(target.folders.incidents, target.name, choose())
        me = lock.holder
        with sealed(found.folder, target.signing, me.what, progress.say) as wrong:
            for text in wrong:
                progress.say(f"the record does not hold: {text}")
            journal = Journal(found.folder / JOURNAL, redactor.text)
            with (
                without_leaks(found.folder, redactor, progress.say),
                observed(journal.ran),
                journal.step(me.what, id=command, **author()),
            ):
                if lock.taken_from is not None:
                    _record_taking_over(lock.taken_from, journal, progress)
                yield Session(found, Recorder(journal, progress, lock.require))
    typer.echo(f"incident: {found.folder}")


@contextmanager
def sealed_journal(
    target: Target, path: Path, by: str, say: Callable[[str], None], seconds: float = _RECORD_SECONDS
) -> Iterator[Journal]:
    """Yield the journal at `path` in a record, locked against other writers; seal it alone after the body.

    One who has it already is waited for, `seconds` at most.
    """
    folder = path.parent
    lock = folder.with_name(f".{folder.name}.{path.stem}.lock")
    with (
        file_lock(lock, f"write {path.name} of {folder.name}", wait_seconds=seconds),
        sealed(folder, target.signing, by, say, lambda name: name.startswith(path.stem)),
    ):
        yield Journal(path, target.redactor().text)


def _record_taking_over(before: Holder, journal: Journal, progress: Progress) -> None:
    life = before.life()
    journal.write(
        JournalEvent.TOOK_OVER,
        **{name: value for name, value in before.record().items() if name != "token"},
        life=life,
    )
    word = ": that it has ended is your word" if life is Life.UNKNOWN else ""
    progress.say(f"took the lock over from {before}, {life}{word}")


class Recorder:
    """Steps that are shown and written to the journal, as `rollproof.incident.journal.Steps` asks."""

    def __init__(self, journal: Journal, progress: Progress, require: Callable[[], None]) -> None:
        """Write to `journal`, show on `progress`; `require` is called before each step, and may refuse it."""
        self._journal = journal
        self._progress = progress
        self._require = require

    def note(self, text: str) -> None:
        """Show and record a text that is no step."""
        self._progress.say(text)
        self._journal.write(JournalEvent.NOTED, text=text)

    def record(self, event: str, **details: Detail) -> None:
        """Record an event that is no step, for programs."""
        self._journal.write(event, **details)

    @contextmanager
    def __call__(self, step: Step, of: str = "", deadline: float | None = None) -> Iterator[ProgressStep]:
        """Open `step` of a store or service, if this process may still act.

        `deadline` is the seconds that it may take; recorded here, enforced by the code that does the step.
        """
        self._require()
        details = {} if deadline is None else {"deadline_seconds": round(deadline, 1)}
        name = step.sentence(of)
        with (
            self._progress.step(name) as shown,
            self._journal.step(name, id=step, of=of, **details) as recorded,
        ):
            yield shown
            recorded["result"] = shown.result
