"""Steps: taken where the suite reaches out, one list a check, and none outside of a check."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rollproof.errors import Mismatch, Problem, Unverifiable
from rollproof.system.side_by_side import ask_all
from rollproof.system.steps import ReportStep, recorded_in, step

ERROR: dict[str, Any] = {
    "what": "kafka",
    "expected": "an answer",
    "observed": "none",
    "source": "here",
    "hint": "look",
}


@pytest.fixture
def steps() -> Iterator[list[ReportStep]]:
    found: list[ReportStep] = []
    with recorded_in(found):
        yield found


def test_a_step_has_its_times_and_how_it_ended(steps: list[ReportStep]) -> None:
    with step("query: redis"):
        pass
    with pytest.raises(Unverifiable), step("query: kafka"):
        raise Unverifiable(**ERROR)
    with pytest.raises(KeyError), step("query: none"):
        raise KeyError

    assert [(s.name, s.problem) for s in steps] == [
        ("query: redis", None),
        ("query: kafka", "kafka: expected an answer, observed none (from here)"),
        ("query: none", "KeyError"),
    ]
    assert all(s.began <= s.ended for s in steps)


def test_what_threads_ask_is_the_checks_too(steps: list[ReportStep]) -> None:
    def ask(name: str) -> str:
        if name == "b":
            raise Mismatch(**ERROR)
        return name

    answers = ask_all(["a", "b"], ask, question="query")

    assert answers["a"] == "a"
    assert isinstance(answers["b"], Mismatch | Problem)
    assert {s.name: s.problem is None for s in steps} == {"query: a": True, "query: b": False}
