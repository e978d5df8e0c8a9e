"""What a check expects: both sides are kept and said once; its verdict, and that of a run that was ended."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.gating.evidence import Expect, Sides
from fixtures.gating.gate import BLOCKED, Gate
from fixtures.gating.recorder import judge
from rollback_actions import check_run
from rollback_actions.check_run import run_checks
from rollproof.errors import Meaning, Mismatch, Problem, Unverifiable
from rollproof.profile.profile import Target
from rollproof.verdict import Verdict


@pytest.mark.parametrize(
    ("said", "holding", "failing"),
    [
        ({"observed": 3}, "3", "3"),
        ({"instead": "five"}, "four", "five"),
        ({"observed": 4, "instead": "five"}, "4", "five"),
        # Nothing at all is something that can be observed.
        ({"observed": ""}, "", ""),
        ({"observed": 0}, "0", "0"),
    ],
)
def test_both_sides_are_kept(said: dict[str, Any], holding: str, failing: str) -> None:
    sides: list[Sides] = []
    expect = Expect(sides, source="here", hint="mend it")
    expect(True, what="w", expected="four", **said)
    with pytest.raises(Mismatch) as raised:
        expect(False, what="w", expected="four", **said)
    assert sides == [Sides("four", holding), Sides("four", failing)]
    assert str(raised.value.observed) == failing


@pytest.mark.parametrize("lacking", ["observed", "source", "hint"])
@pytest.mark.parametrize("holds", [True, False])
def test_an_expectation_says_what_is_observed_where_and_what_to_do(lacking: str, *, holds: bool) -> None:
    words: dict[str, Any] = {"observed": "b", "source": "here", "hint": "look"}
    del words[lacking]
    with pytest.raises(TypeError, match="w: an expectation "):
        Expect([])(holds, what="w", expected="a", **words)


def _judged(error: BaseException, *, skipped: bool = False, gate: Gate | None = None) -> Any:  # noqa: ANN401
    """Return verdict, reason and meaning of a check that ended with `error`."""
    item: Any = SimpleNamespace(stash=pytest.Stash())
    if gate is not None:
        item.stash[BLOCKED] = gate
    report: Any = SimpleNamespace(passed=False, skipped=skipped)
    call: Any = SimpleNamespace(excinfo=SimpleNamespace(value=error))
    return judge(item, report, call)


@pytest.mark.parametrize("means", Meaning)
@pytest.mark.parametrize(
    ("kind", "verdict"),
    [(Mismatch, Verdict.FAILED), (Problem, Verdict.BROKEN), (Unverifiable, Verdict.BROKEN)],
)
def test_an_error_is_judged_by_its_kind_and_meaning(
    kind: type[Mismatch | Problem], verdict: Verdict, means: Meaning
) -> None:
    error = kind(what="a", expected="b", observed="failed: late", source="d", hint="e", means=means)
    assert _judged(error)[::2] == (verdict, means)


def test_a_check_is_blocked_by_its_gate_and_by_no_words() -> None:
    skipped = pytest.skip.Exception("blocked")
    assert _judged(skipped, skipped=True)[0] is Verdict.BROKEN
    blocked = _judged(skipped, skipped=True, gate=Gate("blocked"))
    assert blocked == (Verdict.BLOCKED, "blocked", Meaning.OTHER)


@pytest.mark.parametrize(("code", "said"), [(None, "still running; stopped"), (77, "exit code 77")])
def test_another_end_is_no_result(
    target: Target, monkeypatch: pytest.MonkeyPatch, code: int | None, said: str
) -> None:
    monkeypatch.setattr(check_run, "run_program", lambda *_, **__: code)
    with pytest.raises(Unverifiable, match=said):
        run_checks(target, Path("a.toml"), "phase1")
