"""`rollproof doctor`: questions side by side, one page, and what to type."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from rollproof.doctor import every_need, examination
from rollproof.doctor.examination import Examination, Line, Need, NeedOutcome, NeedState, Wrong, examine
from rollproof.errors import ActionFailed, ExitCode, Mismatch, Unverifiable
from rollproof.stores.contract import Untold
from rollproof.system.clock import Moment
from tests.unit.command_line import Ran, tree

FAR = 60.0
SIDES: dict[str, Any] = {"what": "w", "expected": "good", "observed": "bad", "source": "s", "hint": "mend it"}


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """What is not set until the test is done."""
    event = threading.Event()
    yield event
    event.set()


def hanging(event: threading.Event) -> str:
    event.wait(FAR)
    return "late"


def fails(kind: type[Mismatch | Unverifiable | ActionFailed]) -> str:
    raise kind(**SIDES)


def page(*lines: Line, seconds: float = 1.0) -> Examination:
    return Examination("t", Moment.now(), seconds, lines)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each question take as long as it has to: nothing is said of how fast a machine is."""
    monkeypatch.setattr(every_need, "REQUEST_SECONDS", FAR)

    def unhurriedly(needs: Sequence[Need], *_: float) -> list[NeedOutcome]:
        return examine([replace(one, seconds=FAR) for one in needs], FAR)

    monkeypatch.setattr(examination, "examine", unhurriedly)


def test_a_probe_that_hangs_is_wrong_and_delays_nobody(never: threading.Event) -> None:
    hung, quick = examine(
        [Need("a", lambda: hanging(never), seconds=0.2), Need("b", lambda: "done", seconds=FAR)], FAR
    )
    assert (hung.line.state, quick.line.text) == (NeedState.WRONG, "done")
    assert hung.line.text.startswith("no answer within ")
    assert hung.line.hint


def test_the_whole_has_an_end(never: threading.Event) -> None:
    found = examine(
        [Need("a", lambda: hanging(never), seconds=FAR), Need("b", lambda: "", after=("a",))], 0.2
    )
    assert [one.line.state for one in found] == [NeedState.WRONG, NeedState.UNKNOWN]
    assert found[1].line.after == "a"


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Wrong("good", "bad", "mend it"), NeedState.WRONG),
        (Wrong("good", "bad", "mend it", NeedState.ABSENT), NeedState.ABSENT),
        (Unverifiable(**SIDES), NeedState.WRONG),
        (Untold(**SIDES), NeedState.UNKNOWN),
    ],
)
def test_an_error_tells_the_state(error: Exception, state: NeedState) -> None:
    def fails() -> str:
        raise error

    (found,) = examine([Need("a", fails)])
    assert (found.line.state, found.line.hint) == (state, "mend it")
    assert found.line.text == "expected good, observed bad"


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([NeedState.OK, NeedState.ABSENT], ExitCode.VERIFIED),
        ([NeedState.ABSENT, NeedState.UNKNOWN], ExitCode.BROKEN),
        ([NeedState.UNKNOWN, NeedState.WRONG], ExitCode.FAILED),
    ],
)
def test_the_exit_code(found: list[NeedState], code: ExitCode) -> None:
    assert page(*(Line("a", state, "") for state in found)).code is code


@pytest.mark.usefixtures("unhurried")
def test_without_an_engine_it_is_one_line_and_nothing_is_changed(away: Ran) -> None:
    before = tree(away.sandbox.folder)
    said = away("doctor", code=ExitCode.FAILED)
    assert said.count("docker version") == 1
    assert "engine first, then " in said
    assert "redis reader" in said or "more" in said
    assert tree(away.sandbox.folder) == before
