"""Questions asked side by side, each with a deadline of its own, and a line with the result of each.

A question that needs another's answer waits for it, and is not asked if that fails: a cause is said once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from rollproof.errors import Described, ExitCode, Meaning, Mismatch, Problem, Unverifiable
from rollproof.stores.contract import Blind, Withheld
from rollproof.system.clock import Moment
from rollproof.system.command import Deadline
from rollproof.system.record_files import rounded
from rollproof.system.side_by_side import Question, Workers

REQUEST_SECONDS = 8.0
"""Seconds that one request or program may take: a person waits for the page."""
NEED_SECONDS = 12.0
"""Seconds of one question."""
WHOLE_SECONDS = 18.0
"""Seconds of all questions together."""


class NeedState(StrEnum):
    """What came of a question.

    *absent*: it is not there, and nothing of the target needs it; *unknown*: it could not be found out, or
    was not asked.
    """

    OK = "ok"
    ABSENT = "absent"
    WRONG = "wrong"
    UNKNOWN = "unknown"


class UnmetNeed(Mismatch):
    """What is wrong with a need, or that it is *absent*; only the need's line is shown."""

    def __init__(
        self, expected: object, observed: object, hint: str, state: NeedState = NeedState.WRONG
    ) -> None:
        """Take both sides, what to do about it, and the state of the line."""
        source = "this machine"
        super().__init__(what="doctor", expected=expected, observed=observed, source=source, hint=hint)
        self.state = state


@dataclass(frozen=True, slots=True)
class Need:
    """One question: `ask` returns what it found, in words, or raises what is wrong.

    `after` names the needs that have to be ok before it is asked. It has `seconds` from then on.
    """

    name: str
    ask: Callable[[], str]
    after: tuple[str, ...] = ()
    seconds: float = NEED_SECONDS


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the page: what was asked, what came of it, and what to type if it is not ok.

    `after` names the line that was not ok, for which this was not asked.
    """

    name: str
    state: NeedState
    text: str
    hint: str = ""
    after: str = ""
    seconds: float = field(default=0.0, metadata=rounded(3))


@dataclass(frozen=True, slots=True)
class Examination:
    """All lines of one examination of `target`, which began at `at` and took `seconds`."""

    target: str
    at: Moment
    seconds: float = field(metadata=rounded(3))
    lines: tuple[Line, ...]
    version: Literal[1] = 1

    @property
    def code(self) -> ExitCode:
        """The exit code: something is wrong, or could not be found out, or all is ok."""
        states = {line.state for line in self.lines}
        if NeedState.WRONG in states:
            return ExitCode.FAILED
        return ExitCode.BROKEN if NeedState.UNKNOWN in states else ExitCode.VERIFIED


@dataclass(frozen=True, slots=True)
class NeedOutcome:
    """A line, and the error behind it if it is not ok and was asked."""

    line: Line
    error: Problem | Mismatch | None = None


def examine(needs: Sequence[Need], seconds: float = WHOLE_SECONDS) -> list[NeedOutcome]:
    """Ask all `needs` side by side, within `seconds` together; return what came of each, in their order.

    One that hangs is left behind: it delays nobody.
    """
    whole, asked = Deadline(seconds), dict[str, Future[NeedOutcome]]()
    with Workers(len(needs), "doctor") as workers:
        for need in needs:
            # A capture asks a part of the questions: one that is not among them is not waited for.
            needed = [asked[name] for name in need.after if name in asked]
            asked[need.name] = workers.begin(_outcome, need, needed, whole)
        return [one.result() for one in asked.values()]


def require_all(outcomes: Sequence[NeedOutcome]) -> None:
    """Raise the first error, with those of the others in its notes, if there is any."""
    errors = [one.error for one in outcomes if one.error is not None]
    for other in errors[1:]:
        errors[0].add_note(str(other))
    if errors:
        raise errors[0]


def _outcome(need: Need, needed: Sequence[Future[NeedOutcome]], whole: Deadline) -> NeedOutcome:
    lines = [one.result().line for one in needed]
    if (failed := next((one for one in lines if one.state is not NeedState.OK), None)) is not None:
        cause = failed.after or failed.name
        text = f"not asked: {cause} comes first"
        return NeedOutcome(Line(need.name, NeedState.UNKNOWN, text, after=cause))
    question = Question(need.name, need.ask)
    question.start()
    question.wait(min(need.seconds, whole.remaining))
    try:
        if question.waiting:
            raise _late(need)
        return NeedOutcome(Line(need.name, NeedState.OK, question.answer(), seconds=question.seconds))
    except (Problem, Mismatch) as error:
        return NeedOutcome(_line_of(need, error, question.asked.seconds_ago()), error.with_traceback(None))


def _late(need: Need) -> Unverifiable:
    return Unverifiable(
        what=need.name,
        expected="an answer in time",
        observed="none",
        source="an examination",
        hint="see that it runs and is not paused, what it is busy with, and the way there",
        means=Meaning.TIMEOUT,
    )


def _line_of(need: Need, error: Described, seconds: float) -> Line:
    state = error.state if isinstance(error, UnmetNeed) else NeedState.WRONG
    if isinstance(error, Withheld | Blind):
        state = NeedState.UNKNOWN
    text = f"expected {error.expected}, observed {error.observed}"
    if error.means is Meaning.TIMEOUT:
        text = f"no answer within {seconds:.1f} s"
    return Line(need.name, state, text, error.hint, seconds=seconds)


def lines_of(outcomes: Iterable[NeedOutcome], redact: Callable[[str], str]) -> list[Line]:
    """Return the line of each outcome, with `redact` done to its words: a server may say anything."""
    return [replace(one.line, text=redact(one.line.text), hint=redact(one.line.hint)) for one in outcomes]
