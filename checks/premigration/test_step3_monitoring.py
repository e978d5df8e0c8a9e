"""Step 3, monitoring: a monitor watches the target, on the beat, and sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fixtures.errors import listed
from fixtures.gating.evidence import Expect, Say
from fixtures.home import typed
from fixtures.monitoring.samples import Life, ProbeKind, Sample, off_the_beat
from fixtures.target.profile import Target

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.premigration, pytest.mark.step3]

START = f"start it in a terminal of its own: {typed('monitor')}"
WAIT = "let it run undisturbed for a while, then ask again"
PART_OF_BEAT = 0.1
OLDEST_BEATS = 2


@pytest.fixture
def expect(expect: Expect, samples_file: Path) -> Expect:
    """Expect things of the monitor's samples."""
    return expect.of(samples_file)


def test_monitor_is_running(
    samples: tuple[Sample, ...], target: Target, expect: Expect, note: Say
) -> None:
    """The process that wrote this target's last sample is still running."""
    last = _last(samples, target, expect)
    life = last.monitor.life()
    ended = f"it has ended, {last.at.seconds_ago():.0f} s or less after that sample"
    expect(life is not Life.ENDED,
           what="monitor",
           expected=f"{last.monitor}, which wrote the last sample, running",
           observed=ended if life is Life.ENDED else f"it {life}",
           hint=START)
    if life is Life.ELSEWHERE:
        # On another host, only the monitor's samples show that it runs.
        _expect_fresh(last, target, expect)
    note(f"{last.monitor} {life}, its last sample is {last.at.seconds_ago():.1f} s old")


def test_monitor_is_on_the_beat(
    samples: tuple[Sample, ...], target: Target, expect: Expect, note: Say
) -> None:
    """The last samples come on the beat without a gap, and the newest is at most two beats old."""
    last, monitoring = _last(samples, target, expect), target.premigration.monitoring
    beat, allowed = monitoring.beat_seconds, monitoring.beat_seconds * PART_OF_BEAT
    _expect_fresh(last, target, expect)
    ours = [sample for sample in samples if sample.monitor == last.monitor and sample.target == target.name]
    expect(len(ours) >= monitoring.samples,
           what="samples of the monitor",
           expected=f"{monitoring.samples} of {last.monitor}", observed=len(ours),
           hint=WAIT)
    latest = max(sample.late for sample in ours)
    off = next(off_the_beat(ours, beat, allowed), None)
    what, observed = off or ("the last beats", f"{len(ours)} of them, the latest {latest:.3f} s late")
    expect(off is None,
           what=f"monitor, {what}",
           expected=f"one beat each {beat:g} s, within {allowed:g} s", observed=observed,
           hint=WAIT)
    note(f"{len(ours)} beats of {beat:g} s, none missing, the latest {latest:.3f} s late")


def test_monitor_sees_the_target(
    samples: tuple[Sample, ...], target: Target, expect: Expect, note: Say
) -> None:
    """In the last sample every probe has answered, health included, and all is well.

    An answer that came too late for the last sample is taken from the sample before.
    """
    last = _last(samples, target, expect)
    # An old sample says nothing about the present.
    _expect_fresh(last, target, expect)
    probes = dict(last.probes)
    if len(samples) > 1 and samples[-2].monitor == last.monitor and not last.missed:
        late = (name for name, probe in last.probes.items() if probe.ok is None)
        probes |= {name: samples[-2].probes[name] for name in late if name in samples[-2].probes}
    unknown = [f"{name} ({probe.text})" for name, probe in probes.items() if probe.ok is None]
    unwell = [f"{name} ({probe.text})" for name, probe in probes.items() if probe.ok is False]
    worse = [f"not well: {listed(unwell)}"] if unwell else []
    health = [probe for probe in probes.values() if probe.kind is ProbeKind.HEALTH]
    known = f"{len(probes)} answers" if health else "no probe of health"
    expect(health and not unknown,
           what="last sample of the monitor",
           expected="an answer of every probe, health among them",
           observed="; ".join([f"none of {listed(unknown)}", *worse]) if unknown else known,
           hint="no data is never healthy: see why there is no answer, then ask again")
    expect(not unwell,
           what="last sample of the monitor",
           expected="all well", observed=listed(worse) or "all well",
           hint="a migration starts from a target that is well: mend it first")
    note(f"health {health[0].text}; all of {len(probes)} probes are well")


def _last(samples: tuple[Sample, ...], target: Target, expect: Expect) -> Sample:
    expect(samples,
           what="monitor",
           expected=f"samples of {target.name}", observed=len(samples) or "none",
           hint=START)
    expect(samples[-1].target == target.name,
           what="target of the last sample of the monitor",
           expected=target.name, observed=samples[-1].target,
           hint=START)
    return samples[-1]


def _expect_fresh(last: Sample, target: Target, expect: Expect) -> None:
    oldest = OLDEST_BEATS * target.premigration.monitoring.beat_seconds
    age = last.at.seconds_ago()
    # A sample from the future: that clock cannot be trusted with an age.
    expect(-oldest <= age <= oldest,
           what="last sample of the monitor",
           expected=f"no older than {oldest:g} s", observed=f"{age:.1f} s old, of {last.monitor}",
           hint=f"the monitor hangs, is stopped or has ended; {START}")
