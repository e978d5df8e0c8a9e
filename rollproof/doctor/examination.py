"""Questions asked side by side, each with a deadline of its own, and a line with the result of each.

A question that needs another's answer waits for it, and is not asked if that fails: a cause is said once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from rollproof.errors import Described, ExitCode, Meaning, Mismatch, Problem, Unverifiable
from rollproof.home import typed
from rollproof.stores.contract import Blind, Untold
from rollproof.system.clock import Moment
from rollproof.system.command import Deadline
from rollproof.system.record_files import rounded
from rollproof.system.side_by_side import Question

PROBE_SECONDS = 3.0
WHOLE_SECONDS = 8.0
_POLL_SECONDS = 0.02


class NeedState(StrEnum):
    """What came of a question.

    *absent*: it is not there, and nothing of the target needs it; *unknown*: it could not be found out, or
    was not asked.
    """

    OK = "ok"
    ABSENT = "absent"
    MISSING = "missing"
    WRONG = "wrong"
    UNKNOWN = "unknown"


class Lacking(Mismatch):
    """The subject of a question is absent."""


class Spared(Lacking):
    """The subject is absent, and the target can do without it: only a convenience is lost."""


@dataclass(frozen=True, slots=True)
class Need:
    """One question: `ask` returns what it found, in words, or raises what is wrong.

    `needs` names the probes that have to be ok before it is asked. It has `seconds` from then on. `store` is
    the store that it is about, or "".
    """

    name: str
    ask: Callable[[], str]
    needs: tuple[str, ...] = ()
    seconds: float = PROBE_SECONDS
    store: str = ""


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
        """The exit code: something is wrong or missing, or could not be found out, or all is ok."""
        states = {line.state for line in self.lines}
        if states & {NeedState.WRONG, NeedState.MISSING}:
            return ExitCode.FAILED
        return ExitCode.BROKEN if NeedState.UNKNOWN in states else ExitCode.VERIFIED


@dataclass(frozen=True, slots=True)
class NeedOutcome:
    """A line, and the error behind it if it is not ok and was asked."""

    line: Line
    error: Problem | Mismatch | None = None


def examine(probes: Sequence[Need], seconds: float = WHOLE_SECONDS) -> list[NeedOutcome]:
    """Ask all `probes` side by side, within `seconds` together; return what came of each, in their order.

    One that hangs is left behind: it delays nobody.
    """
    whole = Deadline(seconds)
    named = {probe.name for probe in probes}
    done: dict[str, NeedOutcome] = {}
    asked: dict[str, Question[NeedOutcome]] = {}
    while len(done) < len(probes):
        over = whole.passed  # for all of one look: who waits for another is told of that one
        for probe in probes:
            if probe.name in done:
                continue
            if probe.name not in asked:
                needed = [done.get(name) for name in probe.needs if name in named]
                failed = next((one for one in needed if one and one.line.state is not NeedState.OK), None)
                if failed is not None:
                    cause = failed.line.after or failed.line.name
                    line = Line(probe.name, NeedState.UNKNOWN, f"not asked: {cause} comes first", after=cause)
                    done[probe.name] = NeedOutcome(line)
                elif None not in needed:
                    asked[probe.name] = Question(probe.name, lambda probe=probe: _outcome(probe))  # type: ignore[misc]
                    asked[probe.name].start()
                elif over:
                    done[probe.name] = _late(probe, 0.0)
                continue
            question = asked[probe.name]
            if not question.waiting:
                done[probe.name] = question.answer()
            elif over or question.asked.seconds_ago() > probe.seconds:
                done[probe.name] = _late(probe, question.asked.seconds_ago())
        time.sleep(_POLL_SECONDS)
    return [done[probe.name] for probe in probes]


def require_all(outcomes: Sequence[NeedOutcome]) -> None:
    """Raise the first error, with those of the others in its notes, if there is any."""
    errors = [one.error for one in outcomes if one.error is not None]
    if errors:
        raise with_others(errors)


def with_others(errors: Sequence[Problem | Mismatch]) -> Problem | Mismatch:
    """Return the first of `errors`, with the others in its notes."""
    first, *others = errors
    for other in others:
        for text in (str(other), *getattr(other, "__notes__", ())):
            first.add_note(text)
    return first


def _outcome(probe: Need) -> NeedOutcome:
    began = Moment.now()
    try:
        text = probe.ask()
    except (Problem, Mismatch) as error:
        line = _line_of(probe, error, began.seconds_ago())
        return NeedOutcome(line, error.with_traceback(None))
    except Exception as error:  # noqa: BLE001 - what breaks says nothing of the target; the others do
        broken = Unverifiable(
            what=probe.name,
            expected="an answer",
            observed=f"{type(error).__name__}: {error}",
            source="this program",
            hint=f"report this, with the output of: {typed('doctor --json')}",
        )
        said, seconds = str(broken.observed), began.seconds_ago()
        return NeedOutcome(Line(probe.name, NeedState.UNKNOWN, said, broken.hint, seconds=seconds), broken)
    return NeedOutcome(Line(probe.name, NeedState.OK, text, seconds=began.seconds_ago()))


def _line_of(probe: Need, error: Described, seconds: float) -> Line:
    state = NeedState.WRONG
    if isinstance(error, Lacking):
        state = NeedState.ABSENT if isinstance(error, Spared) else NeedState.MISSING
    elif isinstance(error, Untold | Blind):
        state = NeedState.UNKNOWN
    late = error.means is Meaning.TIMEOUT
    text = _no_answer(seconds) if late else f"expected {error.expected}, observed {error.observed}"
    return Line(probe.name, state, text, error.hint, seconds=seconds)


def _late(probe: Need, seconds: float) -> NeedOutcome:
    error = Unverifiable(
        what=probe.name,
        expected=f"an answer within {probe.seconds:g} s",
        observed="none",
        source="an examination",
        hint="see that it runs and is not paused, what it is busy with, and the way there",
        means=Meaning.TIMEOUT,
    )
    if not seconds:
        return NeedOutcome(
            Line(probe.name, NeedState.UNKNOWN, "not asked: the time was over", error.hint), error
        )
    line = Line(probe.name, NeedState.WRONG, _no_answer(seconds), error.hint, seconds=seconds)
    return NeedOutcome(line, error)


def _no_answer(seconds: float) -> str:
    return f"no answer within {seconds:.1f} s"


def lines_of(outcomes: Iterable[NeedOutcome], redact: Callable[[str], str]) -> list[Line]:
    """Return the line of each outcome, with `redact` done to its words: a server may say anything."""
    return [replace(one.line, text=redact(one.line.text), hint=redact(one.line.hint)) for one in outcomes]
