"""Parts side by side: what `Workers` promise to whoever reads what the parts make."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar, copy_context

import pytest

from rollproof.errors import Problem, Unverifiable
from rollproof.system.process import ended_as_by_ctrl_c
from rollproof.system.side_by_side import Ahead, Workers, every
from rollproof.system.steps import ReportStep, recorded_in, step

LONG = 60.0
"""Seconds that nothing takes which goes as it should."""


def test_what_comes_before_an_error_is_not_lost() -> None:
    failed = threading.Event()

    def part(number: int) -> int:
        if number == 1:
            failed.set()
            raise ValueError("the second")
        assert failed.wait(LONG)
        return number

    with Workers(2, "part") as workers:
        results = workers.in_order(part, [0, 1, 2])
        assert next(results) == 0
        with pytest.raises(ValueError, match="the second"):
            next(results)


def test_all_come_to_their_end_and_every_error_is_told() -> None:
    ended = []

    def part(name: str) -> str:
        ended.append(name)
        if name != "b":
            raise Problem(what=name, expected=1, observed=2, source="test", hint="none")
        return name

    with pytest.raises(Problem, match="a: expected 1") as caught:
        every(part, "abc", name="part")
    assert sorted(ended) == ["a", "b", "c"]
    assert [note.partition(":")[0] for note in caught.value.__notes__] == ["c"]
    assert every(part, ["b"], name="part") == {"b": "b"}
    assert every(part, [], name="part") == {}


def test_a_deadline_leaves_what_hangs_to_itself() -> None:
    free, ended = threading.Event(), threading.Event()

    def part(_: int) -> None:
        free.wait(LONG)
        ended.set()

    try:
        with Workers(1, "part") as workers, pytest.raises(TimeoutError):
            next(workers.in_order(part, [0], seconds=0.0))
        assert not ended.is_set()
    finally:
        free.set()
    assert ended.wait(LONG)


def test_the_first_error_of_what_is_merged_stops_the_others() -> None:
    told = []

    with Workers(2, "part") as workers:

        def part(number: int) -> Iterator[int]:
            if number == 1:
                raise ValueError("the second")
            told.append(workers.stopped.wait(LONG))
            yield number

        with pytest.raises(ValueError, match="the second"):
            list(workers.merged(part, [0, 1, *range(2, 50)]))
    assert told == [True]


def _in_order(workers: Workers, do: Callable[[int], int], items: Iterable[int]) -> Iterator[int]:
    return workers.in_order(do, items)


def _merged(workers: Workers, do: Callable[[int], int], items: Iterable[int]) -> Iterator[int]:
    return workers.merged(lambda item: [do(item)], items)


Way = Callable[[Workers, Callable[[int], int], Iterable[int]], Iterator[int]]
BOTH = pytest.mark.parametrize("way", [_in_order, _merged])


@BOTH
def test_who_reads_no_further_stops_it(way: Way) -> None:
    begun = []

    with Workers(1, "part") as workers:

        def part(number: int) -> int:
            begun.append(number)
            if number:
                assert workers.stopped.wait(LONG)
            return number

        results = way(workers, part, range(50))
        assert next(results) == 0
        results.close()  # type: ignore[attr-defined]
    assert begun in ([0], [0, 1])


class Collected:
    """What raises Ctrl-C while it is collected: Python drops the exception."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@BOTH
@pytest.mark.parametrize("press", [lambda: signal.raise_signal(signal.SIGINT), Collected], ids=["", "lost"])
def test_ctrl_c_begins_nothing_more_and_waits_for_what_runs(way: Way, press: Callable[[], object]) -> None:
    begun, ended = list[int](), list[int]()

    def interrupted() -> None:
        with Workers(1, "part") as workers:

            def part(number: int) -> int:
                begun.append(number)
                if number == 1:
                    assert workers.stopped.wait(LONG)
                    ended.append(number)
                return number

            for _ in way(workers, part, range(50)):
                press()

    with ended_as_by_ctrl_c(), pytest.raises(KeyboardInterrupt):
        interrupted()
    assert begun in ([0], [0, 1])
    assert ended == begun[1:]


@BOTH
def test_the_context_of_the_caller_is_carried(way: Way) -> None:
    shown: ContextVar[str] = ContextVar("shown", default="nothing")

    def part(number: int) -> int:
        seen.append(shown.get())
        shown.set("another part's")
        return number

    def caller() -> None:
        shown.set("the caller's")
        with Workers(1, "part") as workers:
            assert list(way(workers, part, range(3))) == [0, 1, 2]
            workers.begin(part, 4).result()

    seen: list[str] = []
    copy_context().run(caller)
    assert seen == ["the caller's"] * 4


def test_a_line_asks_in_order_while_others_are_asked_and_each_question_once() -> None:
    """Whoever waits first has the question's steps, and everybody its answer, or the problem in its place."""
    ahead, met, asked = Ahead(), threading.Barrier(2), list[str]()

    def ask(name: str) -> str:
        met.wait(LONG)  # of two lines at the same time
        asked.append(name)
        with step(f"query: {name}"):
            if name == "b2":
                raise Unverifiable(
                    what=name, expected="an answer", observed="none", source="here", hint="look"
                )
        return name

    for name in ("a1", "a2", "b1", "b2", "a1"):
        ahead.begin(name[0], name, lambda name=name: ask(name))  # type: ignore[misc]
    steps = list[ReportStep]()
    with recorded_in(steps):
        found = [ahead.begin("a", name, lambda: "asked again")() for name in ("a2", "a1", "a2")]
        with pytest.raises(Unverifiable, match="b2"):
            ahead.begin("b", "b2", lambda: "asked again")()
    assert found == ["a2", "a1", "a2"]
    assert [one for one in asked if one[0] == "a"] == ["a1", "a2"]
    assert [(one.name, one.problem is None) for one in steps] == [
        ("query: a2", True),
        ("query: a1", True),
        ("query: b2", False),
    ]
