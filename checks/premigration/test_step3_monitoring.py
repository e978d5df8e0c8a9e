"""Step 3, monitoring: a monitor watches the target, on the beat, and sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.gating.evidence import Expect, Note
from rollproof.errors import listed
from rollproof.incident.samples import (
    OLDEST_BEATS,
    PART_OF_BEAT,
    ProbeKind,
    Sample,
    is_fresh,
    monitor_hint,
    newest_answers,
    off_the_beat,
    own_samples,
)
from rollproof.profile.profile import Target
from rollproof.system.process import Life

pytestmark = [pytest.mark.premigration, pytest.mark.step3]

NO_DATA = "lacking data is never healthy: see what keeps the answer away, then ask again"
Samples = tuple[Sample, ...]
WAIT = "let it run undisturbed for a while, then ask again"


@pytest.fixture
def expect(expect: Expect, samples_file: Path) -> Expect:
    """Expect things of the monitor's samples."""
    return expect.of(samples_file)


def _last(samples: Samples, target: Target, expect: Expect, *, fresh: bool = False) -> Sample:
    """Expect a monitor to have left samples of this target, the last one `fresh`; return it."""
    targets = [one.target for one in samples[-1:]]
    expect(targets == [target.name],
           what="last sample of the monitor",
           expected=f"one of target {target.name}", observed=listed(targets) or "none",
           hint=monitor_hint())
    last, beat = samples[-1], target.premigration.monitoring.beat_seconds
    if fresh:
        age = last.at.seconds_ago()
        expect(is_fresh(age, beat),
               what="last sample of the monitor",
               expected=f"no older than {OLDEST_BEATS * beat:g} s",
               observed=f"{age:.1f} s old, of {last.monitor}",
               hint=f"the monitor hangs, is stopped or has ended; {monitor_hint()}")
    return last


def test_monitor_is_running(samples: Samples, target: Target, expect: Expect, note: Note) -> None:
    """The process that wrote this target's last sample is still running."""
    last = _last(samples, target, expect)
    life = last.monitor.life()
    expect(life is not Life.ENDED,
           what="monitor",
           expected=f"{last.monitor}, which wrote the last sample, running",
           observed=f"one {life}",
           instead=f"it has ended, {last.at.seconds_ago():.0f} s or less after that sample",
           hint=monitor_hint())
    if life is Life.UNKNOWN:
        # On another host, only the monitor's samples show that it runs.
        _last(samples, target, expect, fresh=True)
    note(f"{last.monitor}, {life}; its last sample is {last.at.seconds_ago():.1f} s old")


def test_monitor_is_on_the_beat(samples: Samples, target: Target, expect: Expect, note: Note) -> None:
    """The last samples come on the beat without a gap, and the newest is at most two beats old."""
    last, monitoring = _last(samples, target, expect, fresh=True), target.premigration.monitoring
    ours, beat = own_samples(samples), monitoring.beat_seconds
    expect(len(ours) >= monitoring.samples,
           what="samples of the monitor",
           expected=f"{monitoring.samples} of {last.monitor}", observed=len(ours),
           hint=WAIT)
    latest = max(sample.late for sample in ours)
    what, off = next(off_the_beat(ours, beat), ("the last beats", ""))
    expect(not off,
           what=f"monitor, {what}",
           expected=f"one beat each {beat:g} s, within {PART_OF_BEAT * beat:g} s",
           observed=f"{len(ours)} of them, the latest {latest:.3f} s late", instead=off,
           hint=WAIT)
    note(f"{len(ours)} beats of {beat:g} s, none missing, the latest {latest:.3f} s late")


def test_monitor_sees_the_target(samples: Samples, target: Target, expect: Expect, note: Note) -> None:
    """In the last sample every probe has answered, health included, and all is well.

    An answer that came too late for the last sample is taken from the sample before.
    """
    # An old sample says nothing about the present.
    _last(samples, target, expect, fresh=True)
    probes = newest_answers(samples)
    unknown, unwell = ([f"{name} ({probe.text})" for name, probe in probes.items() if probe.ok is ok]
                       for ok in (None, False))
    health = [probe.text for probe in probes.values() if probe.kind is ProbeKind.HEALTH]
    wrong = {"none of ": unknown, "not well: ": unwell, "no probe of ": [] if health else ["health"]}
    expect(not any(wrong.values()),
           what="last sample of the monitor",
           expected="an answer of every probe, health among them, and all well",
           instead="; ".join(f"{text}{listed(names)}" for text, names in wrong.items() if names),
           hint=f"a migration starts from a target that is well; {NO_DATA}")
    note(f"health {health[0]}; all of {len(probes)} probes are well")
