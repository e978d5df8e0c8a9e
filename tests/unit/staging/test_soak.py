"""A soak's figures: beats, those that were missed, how far they are apart, and what the monitor cost."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

import pytest
from rich.console import Console

from rollproof.monitoring.samples import Sample
from rollproof.system.clock import Moment
from staging.drills.drill_round import Drills, show
from staging.drills.soak import Soak, processor_seconds, processor_seconds_of, soak_of
from tests.unit.made_samples import BEAT, samples

STAT = "77 (a (b) c) S 1 77 77 0 -1 4194560 863 0 0 0 150 50 30 20 20 0 1 0 1899125 12947456 2248"
GOOD = Soak(100.0, BEAT, 20, 0, 4.996, 5.004, 0.031)


def _soak(made: Sequence[Sample], first: int = 0, last: int | None = None, *, after: float = 1.0) -> Soak:
    """Return the soak that began just before sample `first` and ended `after` seconds after the last."""
    began = replace(made[first].at, since_boot=made[first].at.since_boot - 1)
    end = made[-1 if last is None else last].at
    return soak_of(made, began, replace(end, since_boot=end.since_boot + after), BEAT, 0.03)


def _shifted(sample: Sample, seconds: float, missed: int = 0) -> Sample:
    at = replace(sample.at, since_boot=sample.at.since_boot + seconds)
    return replace(sample, at=at, missed=missed)


def test_beats_within_the_time_are_counted() -> None:
    made = samples(20, lambda _: {})
    soak = _soak(made, 5, 14)
    assert (soak.beats, soak.missed, soak.core) == (10, 0, 0.03)
    assert (soak.shortest, soak.longest) == (BEAT, BEAT)
    assert soak.seconds == pytest.approx(9 * BEAT + 2)
    assert soak.wrong == ()


def test_the_shortest_and_the_longest_are_told() -> None:
    made = samples(6, lambda _: {})
    made[3] = _shifted(made[3], 0.04)
    soak = _soak(made)
    assert soak.shortest == pytest.approx(4.96)
    assert soak.longest == pytest.approx(5.04)
    assert soak.wrong == ()


@pytest.mark.parametrize("seconds", [0.06, -0.06])
def test_a_beat_that_is_off_is_wrong(seconds: float) -> None:
    made = samples(6, lambda _: {})
    made[3] = _shifted(made[3], seconds)
    assert _soak(made).wrong == ("from beat to beat: expected 4.95 to 5.05 s, observed 4.940 to 5.060 s",)


@pytest.mark.parametrize("gone", [0, 1, 3])
def test_a_missed_beat_is_wrong_also_the_first(gone: int) -> None:
    made = samples(8, lambda _: {})
    left = [*made[: 2 + gone], _shifted(made[3 + gone], 0.0, missed=1), *made[4 + gone :]]
    began = replace(made[1].at, since_boot=made[1].at.since_boot + 1)
    soak = soak_of(left, began, made[-1].at, BEAT, 0.03)
    assert soak.missed == 1
    assert soak.longest == pytest.approx(2 * BEAT)
    assert [text.split(":")[0] for text in soak.wrong] == ["missed beats", "from beat to beat"]


def test_a_monitor_that_is_silent_at_the_end_is_wrong() -> None:
    soak = _soak(samples(6, lambda _: {}), after=60.0)
    assert soak.longest == pytest.approx(60.0)
    assert soak.wrong == ("from beat to beat: expected 4.95 to 5.05 s, observed 5.000 to 60.000 s",)


@pytest.mark.parametrize("count", [0, 1])
def test_without_two_beats_nothing_is_known(count: int) -> None:
    now = Moment.now()
    ended = replace(now, since_boot=now.since_boot + 60)
    began = replace(now, since_boot=now.since_boot - 60)
    soak = soak_of(samples(count, lambda _: {}), began, ended, BEAT, 0.03)
    assert (soak.beats, soak.shortest, soak.longest) == (count, None, None)
    assert soak.wrong == (f"beats: expected one each 5 s, observed {count}",)
    assert str(soak) == f"{count} beats in 120 s, 0 missed, 3.0% of a core"


def test_a_monitor_whose_samples_are_all_of_before_is_silent() -> None:
    made = samples(5, lambda _: {})
    began = replace(made[-1].at, since_boot=made[-1].at.since_boot + 1)
    soak = soak_of(made, began, replace(began, since_boot=began.since_boot + 60), BEAT, 0.03)
    assert soak.wrong == ("beats: expected one each 5 s, observed 0",)


def test_a_process_that_has_ended_is_wrong() -> None:
    soak = replace(GOOD, core=None)
    assert soak.wrong == ("process of the monitor: expected one to the end, observed none",)


def test_what_a_process_computes_is_its_own_and_its_children_s() -> None:
    assert processor_seconds(STAT, 100) == 2.5


def test_a_process_that_computes_is_seen_and_one_that_has_ended_is_not() -> None:
    busy = "import sys\nfor _ in range(3_000_000): pass\nprint(1, flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "1\n"
        found = processor_seconds_of(process.pid)
        assert found is not None
        assert found > 0
        # One that nobody has asked how it ended is there still, and has ended.
        process.stdin.close()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert processor_seconds_of(process.pid) is None
    assert processor_seconds_of(process.pid) is None
    assert processor_seconds_of(os.getpid()) is not None


def test_a_round_passes_only_on_the_beat_and_says_so() -> None:
    assert Drills(finished=True).passed
    good, bad = Drills(soak=GOOD, finished=True), Drills(soak=replace(GOOD, missed=2), finished=True)
    assert good.passed
    assert not bad.passed
    assert bad.record()["soak"]["missed"] == 2
    said = io.StringIO()
    show(bad, Console(file=said, width=200))
    assert "monitor: 20 beats in 100 s, 2 missed, 4.996 to 5.004 s apart, 3.1% of a core\n" in said.getvalue()
    assert "missed beats: expected none, observed 2\n" in said.getvalue()
    assert "0 false alarms in 100 s" in said.getvalue()
