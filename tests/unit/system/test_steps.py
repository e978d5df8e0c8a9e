"""Steps: taken where the suite reaches out, one list a check, bounded, and none outside of a check."""

from __future__ import annotations

from threading import Thread
from typing import Any

import pytest

from rollproof.errors import Mismatch, Problem, Unverifiable
from rollproof.system.rounds import ask_all
from rollproof.system.steps import MOST, Steps, _Now, step

ERROR: dict[str, Any] = {
    "what": "kafka",
    "expected": "an answer",
    "observed": "none",
    "source": "here",
    "hint": "look",
}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    found = Steps()
    monkeypatch.setattr(_Now, "steps", found)
    return found


def test_a_step_has_its_times_and_how_it_ended(steps: Steps) -> None:
    with step("query: redis"):
        pass
    with pytest.raises(Unverifiable), step("query: kafka"):
        raise Unverifiable(**ERROR)
    with pytest.raises(KeyError), step("query: none"):
        raise KeyError

    assert [(s.name, s.problem) for s in steps.kept] == [
        ("query: redis", None),
        ("query: kafka", "kafka: expected an answer, observed none (from here)"),
        ("query: none", "KeyError"),
    ]
    assert all(s.began <= s.ended for s in steps.kept)


def test_what_threads_ask_is_the_checks_too(steps: Steps) -> None:
    def ask(name: str) -> str:
        if name == "b":
            raise Mismatch(**ERROR)
        return name

    answers = ask_all(["a", "b"], ask, question="query")

    assert answers["a"] == "a"
    assert isinstance(answers["b"], Mismatch | Problem)
    assert {s.name: s.problem is None for s in steps.kept} == {"query: a": True, "query: b": False}


def test_of_many_the_first_are_kept_and_the_others_counted(steps: Steps) -> None:
    def ask_much() -> None:
        for number in range(MOST):
            with step(str(number)):
                pass

    threads = [Thread(target=ask_much) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(steps.kept), steps.more) == (MOST, 2 * MOST)


def test_outside_of_a_check_a_step_is_nothing() -> None:
    assert _Now.steps is None or isinstance(_Now.steps, Steps)
    with step("nobody looks"):
        pass
