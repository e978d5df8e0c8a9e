"""The command `assess`: how bad it is, what the tree says to that, and an exit code for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rollproof.errors import ExitCode
from rollproof.incident.samples import Sample, samples_path
from rollproof.incident.severity import Severity
from rollproof.monitoring import assessment
from rollproof.monitoring.monitor import Beats
from rollproof.planning.tree import Action
from tests.unit.command_line import Ran
from tests.unit.made_samples import Probes, cut_off, requests, samples, value, write_samples

DOWN = value(None, ok=False)
# What is in trouble, what that is, and what is to be done.
CRITICAL: dict[str, tuple[Callable[[int], Probes], str]] = {
    "all requests": (lambda _: {"requests": requests(20)}, "full rollback: the whole system"),
    "a record": (lambda _: {"records": value(1, ok=False)}, "emergency rollback: data is corrupt"),
    "a record of a store": (
        lambda _: {"records": value(1, ok=False, services=("database-server",))},
        "database rollback of mysql: ",
    ),
    "a store": (lambda _: {"health": DOWN, "store redis": DOWN}, "database rollback of redis: "),
    "its container": (
        lambda _: {"health": DOWN, "containers": value(1, ok=False, services=("database-server",))},
        "database rollback of mysql: ",
    ),
    "a service": (
        lambda _: {"health": DOWN, "containers": value(1, ok=False, services=("backend",))},
        "service rollback of backend: ",
    ),
    "memory": (
        lambda _: {"memory": value(99, ok=False, services=("worker",))},
        "service rollback of worker: ",
    ),
    "disk": (lambda _: {"disk": value(1, ok=False)}, "investigate: no trouble was named"),
}


def _write(path: Path, of: Callable[[int], Probes], count: int = 14) -> Path:
    return write_samples(path, samples(count, of, well_before=70, target="sandbox"))


@pytest.mark.parametrize("name", CRITICAL)
def test_what_is_critical_is_decided_on(run: Ran, tmp_path: Path, name: str) -> None:
    of, decision = CRITICAL[name]
    path = _write(tmp_path / "samples.jsonl", of)
    said = run("assess", f"--samples={path}", code=ExitCode.FAILED)
    assert said.startswith("severity: critical\nmet: critical, ")
    assert f"\ndecision: {decision}" in said


SLOW: Probes = {"page": value(9000)}


@pytest.mark.parametrize(
    ("probes", "count", "code", "action"),
    [
        ({}, 14, ExitCode.VERIFIED, Action.MONITOR),
        (SLOW, 14, ExitCode.INVESTIGATE, Action.INVESTIGATE),
        ({"requests": value(None, ok=None)}, 14, ExitCode.BROKEN, Action.INVESTIGATE),
        # It does not last long enough to be judged.
        (SLOW, 3, ExitCode.BROKEN, Action.INVESTIGATE),
    ],
)
def test_the_other_three_have_exit_codes_of_their_own(
    run: Ran, tmp_path: Path, probes: Probes, count: int, code: ExitCode, action: Action
) -> None:
    path = _write(tmp_path / "samples.jsonl", lambda _: probes, count)
    assert run.found("assess", f"--samples={path}", code=code).decision.action is action


@pytest.mark.parametrize("of", [{}, {"records": value(3, ok=False)}], ids=["nothing", "lost before"])
def test_a_machine_that_may_be_cut_off_has_no_plan_and_says_what_to_check(
    run: Ran, tmp_path: Path, of: Probes
) -> None:
    path = _write(tmp_path / "samples.jsonl", lambda _: cut_off(of))
    found = run.found("assess", f"--samples={path}", code=ExitCode.BROKEN)
    assert (found.assessment.severity, found.assessment.cut_off) == (Severity.UNKNOWN, True)
    assert found.decision.action is Action.INVESTIGATE
    assert found.next.startswith("docker version; curl --max-time 3 ")
    assert "rollback" not in run("assess", f"--samples={path}", code=ExitCode.BROKEN)


def test_samples_of_another_target_are_not_judged_by_this_ones_bands(run: Ran, tmp_path: Path) -> None:
    path = write_samples(tmp_path / "samples.jsonl", samples(3, lambda _: {}, target="elsewhere"))
    said = run("assess", f"--samples={path}", code=ExitCode.USAGE)
    assert "expected those of target sandbox, observed one of target elsewhere" in said


def test_what_has_been_bad_for_ten_minutes_was_not_found_bad_just_now(run: Ran) -> None:
    """Nobody ran it before: the first bad sample is further back than any band looks."""
    made = samples(120, lambda _: {"requests": requests(20)}, well_before=30, target="sandbox")
    write_samples(samples_path(run.sandbox.target), made)
    assessed = assessment.assess_target(run.sandbox.target, print)
    assert assessed.assessment.first_bad == made[30].at
    again = assessment.assess_again(run.sandbox.target, samples_path(run.sandbox.target))
    assert again.assessment == assessed.assessment


@pytest.mark.parametrize("name", ["a record of a store", "disk"])
def test_a_plan_without_options_decides_as_assess_does(run: Ran, name: str) -> None:
    _write(samples_path(run.sandbox.target), CRITICAL[name][0])
    decision = run.found("assess", code=ExitCode.FAILED).decision
    plan = run.found("plan")
    assert plan.decision == decision
    assert (plan.plan is None) == (decision.kind is None)
    # What a person names is decided on whatever the samples say.
    assert run.found("plan", "--whole").decision.action is Action.FULL


class Seen(Beats):
    """Beats that have come already."""

    def __init__(self, of: Probes) -> None:
        self._seen = samples(9, lambda _: of)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self._seen)

    def close(self) -> None:
        """Hold nothing."""


@pytest.mark.parametrize(
    ("of", "severity"), [({"health": DOWN}, Severity.CRITICAL), (SLOW, Severity.UNKNOWN)]
)
def test_without_a_monitor_it_looks_itself(run: Ran, of: Probes, severity: Severity) -> None:
    """What takes longer than these samples is not judged."""
    said = list[str]()
    found = assessment.assess_target(run.sandbox.target, said.append, lambda *_: Seen(of))
    assert said == ["no monitor runs: 4 samples of 5 s are taken now"]
    assert (found.assessment.severity, len(found.samples), found.monitored) == (severity, 4, False)
