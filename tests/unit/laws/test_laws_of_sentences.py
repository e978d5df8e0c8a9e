"""Sentences of a record: whatever they are, verdict and categories are those of what was found."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.gating.evidence import Expect
from fixtures.gating.gate import BLOCKED, Gate
from fixtures.gating.recorder import judge
from rollproof.errors import Meaning, Mismatch, Problem, Unverifiable
from rollproof.runbook import PHASES
from rollproof.verdict import Verdict

sentences = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
found = st.lists(
    st.tuples(st.sampled_from(Verdict), st.sampled_from(Meaning)), min_size=len(PHASES), max_size=8
)


class _Item:
    def __init__(self) -> None:
        self.stash = pytest.Stash()


class _Report:
    passed = False

    def __init__(self, *, skipped: bool = False) -> None:
        self.skipped = skipped


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.excinfo = self
        self.value = error


@given(st.sampled_from([Mismatch, Problem, Unverifiable]), st.sampled_from(Meaning), st.data())
def test_an_error_is_judged_by_its_kind_and_meaning(
    kind: type[Mismatch | Problem], means: Meaning, data: st.DataObject
) -> None:
    words = {name: data.draw(sentences) for name in ("what", "expected", "observed", "source", "hint")}
    error: Any = kind(means=means, **words)
    call: Any = _Raised(error)
    item: Any = _Item()
    report: Any = _Report()
    right = Verdict.FAILED if kind is Mismatch else Verdict.BROKEN
    assert judge(item, report, call)[::2] == (right, means)


@given(sentences)
def test_a_check_is_blocked_by_its_gate_and_by_no_words(words: str) -> None:
    call: Any = _Raised(pytest.skip.Exception(words))
    item: Any = _Item()
    report: Any = _Report(skipped=True)
    assert judge(item, report, call)[0] is Verdict.BROKEN
    item.stash[BLOCKED] = Gate(words)
    assert judge(item, report, call) == (Verdict.BLOCKED, words, Meaning.OTHER)


def test_an_expectation_without_a_source_or_a_hint_is_none() -> None:
    with pytest.raises(TypeError, match="it: an expectation has a source and a hint"):
        Expect([])(True, what="it", expected="a", observed="a", source="here")
    with pytest.raises(TypeError, match="it: an expectation has a source and a hint"):
        Expect([])(True, what="it", expected="a", observed="a", hint="look")


def test_what_an_expectation_says_itself_goes_before_what_is_said_for_all() -> None:
    every = Expect([]).of("there", hint="wait", means=Meaning.LATE)
    with pytest.raises(Unverifiable) as raised:
        every(0, what="it", expected="a", observed="b", source="here", otherwise=Unverifiable)
    assert (raised.value.source, raised.value.hint, raised.value.means) == ("here", "wait", Meaning.LATE)
