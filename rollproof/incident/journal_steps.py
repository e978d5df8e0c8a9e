"""A journal's steps: their ids, their sentences, and the pairing of their records.

A step has two records, `started` and `ended` or `failed`. Both have `id`, `of` (its store or service, or
nothing) and, for people, the sentence `step`; the second has `began`, the number of the first.
Programs read ids alone, so that a sentence can be reworded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, Self

from rollproof.incident.journal import JournalEvent


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
