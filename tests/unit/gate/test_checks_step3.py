"""Step 3, red for each way in which it can be false; the real stack shows the same with a real monitor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from checks.premigration import test_step3_monitoring as step3
from fixtures.gating.evidence import Expect
from rollproof.errors import Mismatch
from rollproof.incident.samples import ProbeAnswer, ProbeKind, Sample
from rollproof.profile.profile import Target
from rollproof.system.clock import Moment
from rollproof.system.process import Process
from tests.unit.clock import ago, later

BEAT = 5.0
HEALTH, DISK = ProbeKind.HEALTH, ProbeKind.DISK
WELL = {
    "health": ProbeAnswer(True, 0.01, "200 status UP, 9 ms", 9.0, kind=HEALTH),
    "store redis": ProbeAnswer(True, 0.01, "40", kind=ProbeKind.STORE, store="redis"),
}
REFUSED = replace(WELL["store redis"], ok=False, text="refused")
Check = Callable[[tuple[Sample, ...], Target, Expect, Callable[[str], None]], None]

pytestmark = pytest.mark.usefixtures("stopped_clock")


def _samples(count: int = 6, newest_seconds_ago: float = 1.0) -> tuple[Sample, ...]:
    """Return what a monitor that does well leaves."""
    return tuple(
        Sample(
            target="sandbox",
            monitor=Process.this(),
            beat=10 + number,
            at=ago(newest_seconds_ago + (count - 1 - number) * BEAT),
            late=0.004,
            missed=0,
            probes=WELL,
        )
        for number in range(count)
    )


def _changed(number: int, **changes: object) -> tuple[Sample, ...]:
    samples = list(_samples())
    samples[number] = replace(samples[number], **changes)  # type: ignore[arg-type] # of a table
    return tuple(samples)


def _note(check: Check, samples: tuple[Sample, ...], target: Target) -> str:
    notes: list[str] = []
    check(samples, target, Expect([], source=Path("samples")), notes.append)
    (note,) = notes
    return note


def _red(check: Check, samples: tuple[Sample, ...], target: Target) -> str:
    with pytest.raises(Mismatch) as told:
        check(samples, target, Expect([], source=Path("samples")), lambda _: None)
    text = str(told.value)
    assert "\nHINT: " in text
    return text


EVERY: tuple[Check, ...] = (
    step3.test_monitor_is_running,
    step3.test_monitor_is_on_the_beat,
    step3.test_monitor_sees_the_target,
)


def test_a_monitor_that_has_ended_is_red(target: Target) -> None:
    me = Process.this()
    said = _red(
        step3.test_monitor_is_running, _changed(-1, monitor=replace(me, started=me.started - 1)), target
    )
    assert f"expected process {me.pid} of {me.host}, which wrote the last sample, running" in said
    assert "observed it has ended" in said


def test_one_elsewhere_is_believed_while_its_samples_are_fresh(target: Target) -> None:
    elsewhere = replace(Process.this(), host="elsewhere", pid=1, started=1, boot="another boot")
    samples = tuple(replace(sample, monitor=elsewhere) for sample in _samples())
    said = _note(step3.test_monitor_is_running, samples, target)
    assert said.startswith("process 1 of elsewhere, which may still run (this process cannot tell); its last")
    old = tuple(replace(sample, monitor=elsewhere) for sample in _samples(newest_seconds_ago=11))
    assert "expected no older than 10 s, observed 11.0 s old" in _red(
        step3.test_monitor_is_running, old, target
    )


@pytest.mark.parametrize("check", EVERY[1:])
@pytest.mark.parametrize(
    ("seconds", "said"), [(11.0, "observed 11.0 s old"), (-11.0, "observed -11.0 s old")]
)
def test_a_sample_that_is_old_or_of_the_future_is_red(
    target: Target, check: Check, seconds: float, said: str
) -> None:
    assert said in _red(check, _samples(newest_seconds_ago=seconds), target)


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (_samples(5), "of process"),
        (_changed(0, monitor=replace(Process.this(), pid=1)), "observed 5"),
        (_changed(0, target="other"), "observed 5"),
        (_changed(-1, target="other"), "expected one of target sandbox, observed other"),
        (
            _changed(3, late=0.6),
            "monitor, beat 13: expected one beat each 5 s, within 0.5 s, observed 0.600 s late",
        ),
        (_changed(3, late=-0.6), "observed -0.600 s late"),
        (_changed(3, beat=12), "missing before beat 12"),
        (_changed(3, beat=14), "observed 1 missing before beat 14"),
        (_changed(5, missed=2), "missing before beat 15"),
        (_changed(2, at=ago(1 + 3 * BEAT - 0.7)), "after beat 11"),
    ],
)
def test_a_beat_that_is_missing_or_off_is_red(target: Target, samples: tuple[Sample, ...], said: str) -> None:
    # They were made when these tests were collected.
    gone = Moment.now().seconds_since(samples[-1].at) - 1
    fresh = tuple(replace(sample, at=later(sample.at, gone)) for sample in samples)
    assert said in _red(step3.test_monitor_is_on_the_beat, fresh, target)


@pytest.mark.parametrize(
    ("probes", "said"),
    [
        (
            {**WELL, "health": ProbeAnswer(False, 0.1, "503 status None, 9 ms", kind=HEALTH)},
            "not well: health (503 status None",
        ),
        (
            {**WELL, "health": ProbeAnswer(None, 4.0, "unknown: late", kind=HEALTH)},
            "observed none of health (unknown: late)",
        ),
        (
            {**WELL, "disk": ProbeAnswer(None, 4.0, "unknown: still", kind=DISK), "store redis": REFUSED},
            "observed none of disk (unknown: still); not well: store redis (refused)",
        ),
        ({"disk": ProbeAnswer(True, 0.1, "fine", kind=DISK)}, "observed no probe of health"),
    ],
)
def test_what_is_unwell_or_unknown_is_red(target: Target, probes: dict[str, ProbeAnswer], said: str) -> None:
    *before, last = _changed(-1, probes=probes)
    twice = (*before[:-1], replace(before[-1], probes=probes), last)
    assert said in _red(step3.test_monitor_sees_the_target, twice, target)
    # What was before does not matter: it is well now.
    assert _note(step3.test_monitor_sees_the_target, _changed(-2, probes=probes), target)


def test_an_answer_that_was_late_for_one_beat_is_that_of_the_beat_before(target: Target) -> None:
    late = {**WELL, "store redis": replace(REFUSED, ok=None, text="unknown: late")}
    assert "all of 2 probes are well" in _note(
        step3.test_monitor_sees_the_target, _changed(-1, probes=late), target
    )
    *before, last = _changed(-1, probes=late)
    refused = replace(before[-1], probes={**WELL, "store redis": REFUSED})
    said = _red(step3.test_monitor_sees_the_target, (*before[:-1], refused, last), target)
    assert "not well: store redis (refused)" in said
    # Where beats are missing, or another monitor saw it, that says nothing.
    said = _red(step3.test_monitor_sees_the_target, (*before, replace(last, missed=1)), target)
    assert "observed none of store redis (unknown: late)" in said
