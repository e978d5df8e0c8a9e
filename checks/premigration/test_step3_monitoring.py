"""Step 3, monitoring: somebody is watching the target, on the beat, and sees it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from fixtures.errors import Mismatch, listed
from fixtures.samples import Life, Sample
from fixtures.target import Target

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.premigration, pytest.mark.step3]

START = "start it in a terminal of its own: ./deploy/scripts/monitor_migration.sh"
WAIT = "wait until it has gone on for a while undisturbed, then ask again"
PART_OF_BEAT = 0.1
OLDEST_BEATS = 2


def test_monitor_is_running(
    samples: tuple[Sample, ...], samples_file: Path, target: Target, note: Callable[[str], None]
) -> None:
    """The process that wrote the last sample of this target runs still."""
    last = _last(samples, samples_file, target)
    life = last.monitor.life()
    if life is Life.ENDED:
        raise Mismatch(
            what="monitor",
            expected=f"{last.monitor}, which wrote the last sample, running",
            observed=f"it has ended, {last.at.seconds_ago():.0f} s or less after that sample",
            source=str(samples_file),
            hint=START,
        )
    if life is Life.ELSEWHERE:
        # There only its samples tell.
        _expect_fresh(last, samples_file, target)
    note(f"{last.monitor} {life}, its last sample is {last.at.seconds_ago():.1f} s old")


def test_monitor_is_on_the_beat(
    samples: tuple[Sample, ...], samples_file: Path, target: Target, note: Callable[[str], None]
) -> None:
    """The last samples come on the beat, none is missing, and the newest is no older than two beats."""
    last = _last(samples, samples_file, target)
    monitoring = target.premigration.monitoring
    _expect_fresh(last, samples_file, target)
    ours = [sample for sample in samples if sample.monitor == last.monitor and sample.target == target.name]
    if len(ours) < monitoring.samples:
        raise Mismatch(
            what="samples of the monitor",
            expected=f"{monitoring.samples} of {last.monitor}",
            observed=len(ours),
            source=str(samples_file),
            hint=WAIT,
        )
    allowed = monitoring.beat_seconds * PART_OF_BEAT
    for sample in ours:
        if abs(sample.late) > allowed:
            raise _off_the_beat(f"beat {sample.beat}", f"{sample.late:.3f} s late", samples_file, target)
    for before, after in pairwise(ours):
        if after.beat != before.beat + 1 or after.missed:
            observed = f"{after.beat - before.beat - 1} missing before beat {after.beat}"
            raise _off_the_beat("the last beats", observed, samples_file, target)
        seconds = after.at.seconds_since(before.at)
        if abs(seconds - monitoring.beat_seconds) > allowed:
            raise _off_the_beat(
                f"beat {after.beat}", f"{seconds:.3f} s after beat {before.beat}", samples_file, target
            )
    latest = max(sample.late for sample in ours)
    note(f"{len(ours)} beats of {monitoring.beat_seconds:g} s, none missing, the latest {latest:.3f} s late")


def test_monitor_sees_the_target(
    samples: tuple[Sample, ...], samples_file: Path, target: Target, note: Callable[[str], None]
) -> None:
    """In the last sample every probe has answered, that of health among them, and all is well.

    An answer that was too late for the last sample is that of the sample before it.
    """
    last = _last(samples, samples_file, target)
    # What was well a while ago says nothing of now.
    _expect_fresh(last, samples_file, target)
    probes = dict(last.probes)
    if len(samples) > 1 and samples[-2].monitor == last.monitor and not last.missed:
        late = (name for name, probe in last.probes.items() if probe.ok is None)
        probes |= {name: samples[-2].probes[name] for name in late if name in samples[-2].probes}
    unknown = [f"{name} ({probe.text})" for name, probe in probes.items() if probe.ok is None]
    unwell = [f"{name} ({probe.text})" for name, probe in probes.items() if probe.ok is False]
    health = probes.get("health")
    if health is None or unknown:
        worse = f"; not well: {listed(unwell)}" if unwell else ""
        raise Mismatch(
            what="last sample of the monitor",
            expected="an answer of every probe, health among them",
            observed=f"none of {listed(unknown)}{worse}" if unknown else "no probe of health",
            source=str(samples_file),
            hint="no data is never healthy: see why there is no answer, then ask again",
        )
    if unwell:
        raise Mismatch(
            what="last sample of the monitor",
            expected="all well",
            observed=f"not well: {listed(unwell)}",
            source=str(samples_file),
            hint="a migration starts from a target that is well: mend it first",
        )
    note(f"health {health.text}; all of {len(probes)} probes are well")


def _last(samples: tuple[Sample, ...], samples_file: Path, target: Target) -> Sample:
    if not samples:
        raise Mismatch(
            what="monitor",
            expected=f"samples of {target.name}",
            observed="none",
            source=str(samples_file),
            hint=START,
        )
    if samples[-1].target != target.name:
        raise Mismatch(
            what="target of the last sample of the monitor",
            expected=target.name,
            observed=samples[-1].target,
            source=str(samples_file),
            hint=START,
        )
    return samples[-1]


def _expect_fresh(last: Sample, samples_file: Path, target: Target) -> None:
    oldest = OLDEST_BEATS * target.premigration.monitoring.beat_seconds
    age = last.at.seconds_ago()
    # One from the future is of a clock that cannot be trusted with an age.
    if not -oldest <= age <= oldest:
        raise Mismatch(
            what="last sample of the monitor",
            expected=f"no older than {oldest:g} s",
            observed=f"{age:.1f} s old, of {last.monitor}",
            source=str(samples_file),
            hint=f"the monitor hangs, is stopped or has ended; {START}",
        )


def _off_the_beat(what: str, observed: str, samples_file: Path, target: Target) -> Mismatch:
    seconds = target.premigration.monitoring.beat_seconds
    return Mismatch(
        what=f"monitor, {what}",
        expected=f"one beat each {seconds:g} s, within {seconds * PART_OF_BEAT:g} s",
        observed=observed,
        source=str(samples_file),
        hint=WAIT,
    )
