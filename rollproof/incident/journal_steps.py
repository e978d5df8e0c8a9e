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
from typing import Any, Protocol

from rollproof.incident.journal import JournalEvent


class Step(StrEnum):
    """Id of a step: stored in journals, so it never changes."""

    # Commands, which contain all other steps.
    ROLLBACK = "rollback"
    BACKUP = "backup"
    CAPTURE = "capture"
    REHEARSE = "rehearse"
    LET_IN = "let in"
    # Steps of a rollback.
    LOOK = "look"
    MAINTENANCE_ON = "maintenance on"
    STOP = "stop"
    UP = "up"
    QUIET = "quiet"
    KEEP = "keep"
    EXPORT = "export"
    BACK_UP = "back up"
    CHECK_OUT = "check out"
    RESTORE = "restore"
    ACCOUNT = "account"
    WATCHED = "watched"
    START = "start"
    RECREATE = "recreate"
    REMOVE = "remove"
    MAINTENANCE_OFF = "maintenance off"
    KEEP_OUT = "keep out"
    # Steps of a backup and of a baseline.
    INDEX = "index"
    KEEP_IMAGES = "keep images"
    CONTAINERS = "containers"
    CANARY = "canary"
    MEASURE = "measure"
    CONTENT = "content"
    # Steps of a rehearsal.
    TELL_TEAM = "tell the team"
    SAVE_COMMIT = "save the commit"
    PASS_GATE = "pass the gate"  # noqa: S105 - no password
    DEPLOY = "deploy"
    SEE_MIGRATED = "see migrated"
    COMPARE_MIGRATED = "compare migrated"
    CHECK_MIGRATED = "check migrated"
    TRY_OLD_CODE = "try the old code"
    VERIFY = "verify"

    def sentence(self, of: str = "") -> str:
        """Return the sentence of this step of `of`, for people."""
        alone, with_part = _SENTENCES.get(self, (f"{self} {{of}}",) * 2)
        return (with_part if of else alone).format(of=of).strip()


# Without and with a part, for each step whose sentence is not just its id and part.
_SENTENCES = {
    step: (said, said) if isinstance(said, str) else said
    for step, said in {
        Step.LOOK: "see that the recorded images are there",
        Step.MAINTENANCE_ON: "put the application in maintenance",
        Step.STOP: ("stop the application", "stop {of}"),
        Step.UP: "see that {of} is up",
        Step.QUIET: "see that nothing writes",
        Step.KEEP: "keep what is there now",
        Step.EXPORT: "export what {of} was written since the backup",
        Step.CHECK_OUT: "check out the commit",
        Step.ACCOUNT: "account for the records of {of}",
        Step.WATCHED: "see that nothing wrote meanwhile",
        Step.START: ("start the application", "start {of}"),
        Step.RECREATE: (
            "start the application on the recorded images",
            "start {of} on its recorded image",
        ),
        Step.REMOVE: "remove {of}, which the commit lacks",
        Step.MAINTENANCE_OFF: "take the application out of maintenance",
        Step.KEEP_OUT: "let the canary in alone, until it is verified",
        Step.KEEP_IMAGES: "keep the images of the application",
        Step.CONTAINERS: "record containers and commit",
        Step.CANARY: "ask the canary's question",
        Step.MEASURE: "measure health and page",
        Step.CONTENT: "record the content of every store",
        Step.TELL_TEAM: "tell the team, and have an engineer acknowledge",
        Step.PASS_GATE: "pass the gate, steps 1 to 4",
        Step.SEE_MIGRATED: "see that the migration is what runs",
        Step.COMPARE_MIGRATED: "compare the migrated stores with the baseline",
        Step.CHECK_MIGRATED: "check the migrated target, phases 2 and 3",
        Step.TRY_OLD_CODE: "try the old code on the migrated data, phase 3",
        Step.VERIFY: "verify the rollback, phases 1 to 4",
    }.items()
}


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


def said_in(record: Mapping[str, Any]) -> str:
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
