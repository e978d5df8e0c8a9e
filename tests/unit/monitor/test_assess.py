"""The command `assess`: how bad it is, what the tree says to that, and an exit code for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rollproof.errors import ExitCode
from rollproof.monitoring import assessment
from rollproof.monitoring.samples import Sample, SampleWriter, samples_path
from rollproof.monitoring.severity import Severity
from rollproof.monitoring.tree import Action
from tests.unit.command_line import Ran
from tests.unit.made_samples import Probes, cut_off, requests, samples, value

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
    writer = SampleWriter(path)
    for sample in samples(count, of, well_before=70, target="sandbox"):
        writer.write(sample)
    writer.close()
    return path


@pytest.mark.parametrize("name", CRITICAL)
def test_what_is_critical_is_decided_on(run: Ran, tmp_path: Path, name: str) -> None:
    of, decision = CRITICAL[name]
    path = _write(tmp_path / "samples.jsonl", of)
    said = run("assess", f"--samples={path}", code=ExitCode.FAILED)
    assert said.startswith("severity: critical\nmet: critical, ")
    assert f"\ndecision: {decision}" in said


def test_the_other_three_have_exit_codes_of_their_own(run: Ran, tmp_path: Path) -> None:
    healthy = _write(tmp_path / "healthy.jsonl", lambda _: {})
    said = run("assess", f"--samples={healthy}")
    assert said.startswith("severity: healthy\nclear: errors 0 % of ")
    assert "decision: continue monitoring: nothing is beyond its limit" in said

    slow = _write(tmp_path / "slow.jsonl", lambda _: {"page": value(9000)})
    said = run("assess", f"--samples={slow}", code=ExitCode.INVESTIGATE)
    assert "\nmet: non-critical, page: 9,000 ms, for 65 s (beats 70 to 83)\n" in said
    assert "decision: investigate: not critical: look for the cause for 5 minutes" in said

    unknown = _write(tmp_path / "unknown.jsonl", lambda _: {"requests": value(None, ok=None)})
    said = run("assess", f"--samples={unknown}", code=ExitCode.BROKEN)
    assert "unknown: critical, errors, failed log-ins: the newest sample has no such figure" in said
    assert said.count("the newest sample has no such figure") == len(Severity.__members__) - 2
    assert "decision: investigate: nobody knows" in said

    short = _write(tmp_path / "short.jsonl", lambda _: {"page": value(9000)}, count=3)
    said = run("assess", f"--samples={short}", code=ExitCode.BROKEN)
    assert "lasting: non-critical, page: 9,000 ms, for 10 s" in said


REACHES = "docker version; curl --max-time 3 "


@pytest.mark.parametrize("of", [{}, {"records": value(3, ok=False)}], ids=["nothing", "lost before"])
@pytest.mark.parametrize("live", [False, True], ids=["a monitor's", "its own"])
def test_a_machine_that_may_be_cut_off_has_no_plan_and_says_what_to_check(
    run: Ran,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    of: Probes,
    live: bool,  # noqa: FBT001 - of a table
) -> None:
    path = _write(tmp_path / "samples.jsonl", lambda _: cut_off(of))
    monkeypatch.setattr(assessment, "Beats", lambda *_: _Seen(lambda _: cut_off(of)))
    named = () if live else (f"--samples={path}",)
    said = run("assess", *named, code=ExitCode.BROKEN)
    lines = [line for line in said.splitlines() if not line.startswith("no monitor runs")]
    assert lines[0].startswith("severity: unknown: this machine may be cut off: neither the engine nor any")
    assert lines[-2].startswith("decision: investigate: this machine may be cut off: ")
    assert lines[-1].startswith(f"next: {REACHES}")
    assert "rollback" not in said
    found = run.found("assess", *named, code=ExitCode.BROKEN)
    assert (found.assessment.severity, found.assessment.cut_off) == (Severity.UNKNOWN, True)
    assert found.decision.action is Action.INVESTIGATE
    assert found.next.startswith(REACHES)


def test_samples_of_another_target_are_not_judged_by_this_ones_bands(run: Ran, tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    with closing(SampleWriter(path)) as writer:
        for sample in samples(3, lambda _: {}, target="elsewhere"):
            writer.write(sample)
    said = run("assess", f"--samples={path}", code=ExitCode.USAGE)
    assert "expected those of target sandbox, observed one of target elsewhere" in said


def test_what_has_been_bad_for_ten_minutes_was_not_found_bad_just_now(run: Ran) -> None:
    """Nobody ran it before: the first bad sample is further back than any band looks."""
    made = samples(120, lambda _: {"requests": requests(20)}, well_before=30, target="sandbox")
    with closing(SampleWriter(samples_path(run.sandbox.target))) as writer:
        for sample in made:
            writer.write(sample)
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


def test_without_a_monitor_it_looks_itself_and_says_what_it_could_not_judge(
    run: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The beats of a monitor are another test's; what they say on a busy machine is not this one's.
    monkeypatch.setattr(assessment, "Beats", lambda *_: _Seen(lambda _: {"health": DOWN}))
    said = run("assess", code=ExitCode.FAILED)
    assert said.startswith("no monitor runs: 4 samples of 5 s are taken now\nseverity: critical\n")
    assert "met: critical, health: " in said
    monkeypatch.setattr(assessment, "Beats", lambda *_: _Seen(lambda _: {"page": value(9000)}))
    said = run("assess", code=ExitCode.BROKEN)
    assert "lasting: non-critical, page: 9,000 ms, for 15 s" in said
    assert "not judged: what takes longer than these samples; start the monitor" in said


class _Seen:
    """Beats that have come already."""

    def __init__(self, of: Callable[[int], Probes]) -> None:
        self._of = of

    def __iter__(self) -> Iterator[Sample]:
        return iter(samples(9, self._of))

    def close(self) -> None:
        """Hold nothing."""
