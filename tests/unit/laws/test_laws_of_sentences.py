"""Sentences of a record: whatever they are, verdict and categories are those of what was found."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from allure_commons import model2
from hypothesis import given
from hypothesis import strategies as st

from fixtures.gating.evidence import Expect, Sides
from fixtures.gating.gate import BLOCKED, Gate
from fixtures.gating.recorder import judge
from reports.allure.categories import CATEGORIES, code_of
from reports.allure.results import RedactingLogger, unreported
from reports.text.room import Room
from rollproof.errors import Meaning, Mismatch, Problem, Unverifiable
from rollproof.incident.incident import new_incident
from rollproof.incident.ledger import Note, Planned, Result, Run
from rollproof.incident.tally import tally
from rollproof.profile.profile import Windows
from rollproof.redaction.redactor import Redactor
from rollproof.runbook import PHASES
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict

# What once decided, and what a sentence could look like to mean something.
ONCE = (
    "blocked: phase1 did not pass",
    "late: phase2: expected done within 180 s, observed more",
    "records in users of mysql: expected 100, observed 98 (-2)",
    "store redis as reader: expected an answer within 5 s, observed Connection refused, timed out",
    "the worker that ran it died",
    "not collected: checks",
    *(code_of(meaning) for meaning in Meaning),
    *(f"x\n{code_of(meaning)}" for meaning in Meaning),
)
sentences = st.sampled_from(ONCE) | st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
found = st.lists(
    st.tuples(st.sampled_from(Verdict), st.sampled_from(Meaning)), min_size=len(PHASES), max_size=8
)


class _Kept:
    def __init__(self) -> None:
        self.results: list[model2.TestResult] = []

    def report_result(self, result: model2.TestResult) -> None:
        self.results.append(result)


def _categories(result: model2.TestResult) -> list[str]:
    trace = (result.statusDetails.trace or "") if result.statusDetails else ""
    return [
        rule["name"]
        for rule in CATEGORIES
        if result.status in rule["matchedStatuses"] and re.search(rule.get("traceRegex", ""), trace)
    ]


def _said_by(folder: Path, ended: Sequence[tuple[Verdict, Meaning]], texts: Sequence[str]) -> Any:  # noqa: ANN401 - to be compared
    """Return verdict, counts of each phase, and categories of a record whose sentences are `texts`."""
    incident = new_incident(folder, "canary")
    run = Run.begin(incident.folder, Moment.now(), gated=True)
    checks = {f"checks/{n}.py::test": PHASES[n % len(PHASES)] for n in range(len(ended))}
    run.write_plan({p: Planned(tuple(c for c, of in checks.items() if of == p)) for p in PHASES})
    with closing(run.writer()) as writer:
        for (check, phase), (verdict, means), text in zip(checks.items(), ended, texts, strict=True):
            means = Meaning.OTHER if verdict in {Verdict.PASSED, Verdict.BLOCKED} else means  # noqa: PLW2901 - no error
            writer.append(Result(check, phase, verdict, 1.0, text, Moment.now(), (Note(text),), means))
    told, kept = tally(incident, Windows()), _Kept()
    logger = RedactingLogger(kept, Redactor(), Room(folder, workers=1))
    for check, result in run.results().items():
        logger.report_result(unreported(incident.id, checks[check], check, result, 0))
    phases = {name: (phase.verdict, phase.checks) for name, phase in told.phases.items()}
    return told.verdict, len(told.partial), phases, [_categories(result) for result in kept.results]


@given(found, st.data())
def test_a_record_whose_sentences_are_rewritten_says_the_same(
    ended: list[tuple[Verdict, Meaning]], data: st.DataObject
) -> None:
    texts = data.draw(st.lists(sentences, min_size=len(ended), max_size=len(ended)))
    with tempfile.TemporaryDirectory() as plain, tempfile.TemporaryDirectory() as rewritten:
        assert _said_by(Path(rewritten), ended, texts) == _said_by(Path(plain), ended, ["said"] * len(ended))


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


@given(st.booleans(), st.sampled_from(Meaning), sentences, sentences)
def test_an_expectation_keeps_both_sides_and_raises_when_it_does_not_hold(
    holds: bool,  # noqa: FBT001 - of Hypothesis
    means: Meaning,
    expected: str,
    observed: str,
) -> None:
    sides: list[Sides] = []
    expect = Expect(sides, source="here", means=means)
    wrong: Mismatch | None = None
    try:
        expect(holds, what="it", expected=expected, observed=observed, hint="look")
    except Mismatch as raised:
        wrong = raised
    assert (wrong is None) is holds
    assert wrong is None or wrong.means is means
    assert sides == [Sides(expected, observed)]


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
