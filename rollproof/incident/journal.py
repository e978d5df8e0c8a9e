"""Reading an incident's journal: each record is chained to the one before by its hash.

An edited, reordered or removed record breaks the chain. That nothing was cut off at its end is for the seal
to say. Records are JSON lines with `sequence`, `at`, `event`, `previous` (the hash of the record before) and
`hash` (SHA-256 of the record without it). A torn last line is left out; the next writer removes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from rollproof.errors import ActionFailed, Problem
from rollproof.reading import read_regular
from rollproof.system.clock import Moment
from rollproof.system.files import canonical_json, complete_lines
from rollproof.system.record_files import LEFT_OUT, Natural, parse_record, record_of

DETECTED = "detected"
"""The event of the contacts' journal by which their clock begins."""
FIRST = "0" * 64
Event = TypeVar("Event")


class JournalEvent(StrEnum):
    """What any journal may hold; other events belong to one kind of journal, and are named where it is read.

    Stored in records, so it never changes.
    """

    TOOK_OVER = "took over"
    NOTED = "noted"
    STARTED = "started"
    ENDED = "ended"
    FAILED = "failed"
    RUNS = "runs"
    RAN = "ran"


@dataclass(frozen=True, slots=True)
class JournalLine:
    """The fields of every record of a journal. The details of its event stand next to them, by name.

    A detail is a text, a number, true, false, null or a list of texts. `findings` and `first_bad` of a
    response's assessment are objects, and so are the `minutes` of the contacts' clock.

    `previous` is the hash of the record before, 64 zeros in the first. `hash` is the SHA-256 of the record
    without it, in its canonical spelling.
    """

    sequence: Natural
    at: Moment
    event: str
    previous: str
    hash: str = field(default="", metadata=LEFT_OUT)
    findings: Mapping[str, Any] | None = field(default=None, metadata=LEFT_OUT)
    first_bad: Moment | None = field(default=None, metadata=LEFT_OUT)
    minutes: Mapping[str, float] | None = field(default=None, metadata=LEFT_OUT)


class JournalBroken(Problem):
    """A journal that differs from the written one: edited, or damaged by the machine's crash."""


def verify_journal(path: Path) -> list[dict[str, Any]]:
    """Return the records of a journal whose chain holds. Another process may be writing it."""
    records, broken = read_journal(path)
    if broken is not None:
        raise broken
    return records


def read_journal(path: Path) -> tuple[list[dict[str, Any]], JournalBroken | None]:
    """Return a journal's records as far as its chain holds, and the error where it breaks, or None."""
    try:
        content = complete_lines(read_regular(path))
    except FileNotFoundError:
        return [], None
    except OSError as error:
        raise out_of_reach(path, "read", error) from None
    records: list[dict[str, Any]] = []
    previous = FIRST
    for number, line in enumerate(content.split(b"\n")[:-1]):
        try:
            record = parse_record(dict[str, Any], line)
            record_of(JournalLine, record, more=True)
            expected = hash_of({key: value for key, value in record.items() if key != "hash"})
        except ValueError as error:
            return records, _broken(path, f"record {number}", "a record of a journal", str(error))
        found = (record.get("hash", ""), record["previous"], record["sequence"])
        if found != (expected, previous, number):
            wanted = f"hash {expected[:16]} after {previous[:16]}"
            instead = f"hash {found[0][:16]} after {found[1][:16]}"
            return records, _broken(path, f"record {number}", wanted, instead)
        records.append(record)
        previous = expected
    return records, None


def records_of(kind: type[Event], event: str, records: Iterable[Mapping[str, Any]]) -> tuple[Event, ...]:
    """Return those of a journal's `records` that are of `event`; raises `WrongRecord` for another shape."""
    return tuple(record_of(kind, one, more=True) for one in records if one["event"] == event)


@contextmanager
def well_formed(path: Path) -> Iterator[None]:
    """Raise `JournalBroken` when the body meets a record without the fields of its event."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        found = f"{type(error).__name__}: {error}"
        raise _broken(path, "some record", "the fields of its event", found) from None


def _broken(path: Path, which: str, expected: str, observed: str) -> JournalBroken:
    return JournalBroken(
        what=f"{which} of the journal",
        expected=expected,
        observed=observed,
        source=str(path),
        hint=f"put it back from a copy; or go on in a new one, without a verdict: mv {path} {path}.damaged",
    )


def out_of_reach(path: Path, done: str, error: OSError) -> ActionFailed:
    """Return the error for a journal that could not be `done`: read, written, moved."""
    return ActionFailed.of_file(
        path,
        error,
        what="journal",
        expected=f"a file that can be {done}",
        hint="every step needs its record: make room there, or correct the permissions, then resume",
    )


def hash_of(record: dict[str, Any]) -> str:
    """Return the hash of a record without `hash`."""
    return hashlib.sha256(canonical_json(record)).hexdigest()


class Step(StrEnum):
    """A step: its id, which is stored in journals and so never changes, and its sentence for people.

    A second sentence is for a step of one part, its store or service `{of}`. Without any, the id is said.
    """

    # Commands, which contain all other steps.
    ROLLBACK = "rollback"
    BACKUP = "backup"
    CAPTURE = "capture"
    REHEARSE = "rehearse"
    LET_IN = "let in"
    REPLAY = "replay"
    # Steps of a rollback.
    LOOK = "look", "see that the recorded images are there"
    MAINTENANCE_ON = "maintenance on", "put the application in maintenance"
    STOP = "stop", "stop the application", "stop {of}"
    UP = "up", "see that {of} is up"
    QUIET = "quiet", "see that nothing writes"
    KEEP = "keep", "keep what is there now"
    EXPORT = "export", "export what {of} was written since the backup"
    BACK_UP = "back up"
    CHECK_OUT = "check out", "check out the commit"
    RESTORE = "restore"
    ACCOUNT = "account", "account for the records of {of}"
    PUT_BACK = "put back", "put back records of {of}"
    DELETE_AGAIN = "delete again", "delete again what users had deleted of {of}"
    WATCHED = "watched", "see that nothing wrote meanwhile"
    START = "start", "start the application", "start {of}"
    RECREATE = "recreate", "start the application on the recorded images", "start {of} on its recorded image"
    REMOVE = "remove", "remove {of}, which the commit lacks"
    MAINTENANCE_OFF = "maintenance off", "take the application out of maintenance"
    KEEP_OUT = "keep out", "let the canary in alone, until it is verified"
    # Steps of a backup and of a baseline.
    INDEX = "index"
    NAMES = "names", "read the names that records of stores hold"
    KEEP_IMAGES = "keep images", "keep the images of the application"
    CONTAINERS = "containers", "record containers and commit"
    CANARY = "canary", "ask the canary's question"
    MEASURE = "measure", "measure health and page"
    CONTENT = "content", "record the content of every store"
    # Steps of a rehearsal.
    TELL_TEAM = "tell the team", "tell the team, and have an engineer acknowledge"
    SAVE_COMMIT = "save the commit"
    PASS_GATE = "pass the gate", "pass the gate, steps 1 to 4"
    DEPLOY = "deploy"
    SEE_MIGRATED = "see migrated", "see that the migration is what runs"
    COMPARE_MIGRATED = "compare migrated", "compare the migrated stores with the baseline"
    CHECK_MIGRATED = "check migrated", "check the migrated target, phases 2 and 3"
    TRY_OLD_CODE = "try the old code", "try the old code on the migrated data, phase 3"
    VERIFY = "verify", "verify the rollback, phases 1 to 4"
    RESTART = "restart", "restart every service, and check again, phases 1, 2 and 4"

    alone_sentence: str
    part_sentence: str

    def __new__(cls, value: str, alone: str = "", of_a_part: str = "") -> Self:
        """Return a step."""
        step = str.__new__(cls, value)
        step._value_ = value
        step.alone_sentence = alone or f"{value} {{of}}"
        step.part_sentence = of_a_part or step.alone_sentence
        return step

    def sentence(self, of: str = "") -> str:
        """Return the sentence of this step of `of`, for people."""
        return (self.part_sentence if of else self.alone_sentence).format(of=of).strip()


@dataclass(frozen=True, slots=True)
class StepId:
    """A step, and the store or service that it is `of`, or ""."""

    step: Step
    of: str = ""

    def __str__(self) -> str:
        """Return it in words that stay when the sentence changes."""
        return f"{self.step} {self.of}".strip()


class StepResult(Protocol):
    """The object that `Steps` gives to a step's body: the body sets its result."""

    result: str


class Steps(Protocol):
    """Opens a step that is shown and recorded."""

    def __call__(self, step: Step, of: str = "", /) -> AbstractContextManager[StepResult]:
        """Return `step` of a store."""
        ...


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """A step's beginning and the record of its end, or None without an end."""

    began: Mapping[str, Any]
    end: Mapping[str, Any] | None = None

    @property
    def id(self) -> StepId | None:
        """Its id, or None for a step that no program looks for."""
        return id_of(self.began)

    @property
    def name(self) -> str:
        """Its sentence."""
        return str(self.began["step"])


def first_line(record: Mapping[str, Any]) -> str:
    """Return the first line of a step's result or error, or ""."""
    return str(record.get("result") or record.get("error") or "").partition("\n")[0]


def id_of(began: Mapping[str, Any]) -> StepId | None:
    """Return the id in the record of a beginning, or None if no program looks for such a step."""
    known = began.get("id")
    return StepId(Step(known), str(began.get("of", ""))) if known in set(Step) else None


def steps_in(
    records: Iterable[Mapping[str, Any]],
) -> tuple[list[RecordedStep], list[Mapping[str, Any]]]:
    """Return a journal's steps in the order of their beginnings, and the records of no step."""
    steps: list[RecordedStep] = []
    others: list[Mapping[str, Any]] = []
    for record in records:
        if record["event"] == JournalEvent.STARTED:
            steps.append(RecordedStep(record))
        elif record["event"] in {JournalEvent.ENDED, JournalEvent.FAILED}:
            number = next((n for n in reversed(range(len(steps))) if _ends(record, steps[n])), None)
            if number is None:
                others.append(record)
            else:
                steps[number] = RecordedStep(steps[number].began, record)
        else:
            others.append(record)
    return steps, others


def _ends(record: Mapping[str, Any], step: RecordedStep) -> bool:
    return step.end is None and "began" in record and bool(record["began"] == step.began["sequence"])
