"""Figures of samples as lines: what nobody knows is a gap, and what is left out is never the worst."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from reports.pictures.series import ERRORS, LATENCY, MOST_POINTS, RESOURCES, Series, gaps, line_of, step_of
from rollproof.monitoring.samples import Sample
from tests.unit.drawn_incident import moment
from tests.unit.made_samples import BEAT, MONITOR, WELL, Probes, named, requests, value

REQUESTS, LOG_INS = ERRORS
SLOWEST, PAGE, _ = LATENCY
_, DISK, _ = RESOURCES


def sampled(*every: Probes) -> tuple[list[Sample], list[float]]:
    """Return a sample a beat, with their times."""
    samples = [
        Sample("staging", MONITOR, beat, moment(beat * BEAT), 0.001, 0, named({**WELL, **probes}))
        for beat, probes in enumerate(every)
    ]
    return samples, [beat * BEAT for beat in range(len(every))]


def test_a_share_is_a_percentage_and_none_where_nothing_was_asked() -> None:
    samples, times = sampled(
        {"requests": requests(5, 20)}, {"requests": requests(0, 0)}, {"requests": value(None, ok=None)}, {}
    )

    line = line_of(REQUESTS, samples, times, [])

    assert line.values[0] == 25
    assert [math.isnan(known) for known in line.values] == [False, True, True, False]
    assert line.alone == (0, 3)
    assert line.last == 0


def test_of_no_request_there_is_no_latency() -> None:
    samples, times = sampled({"requests": requests(0, 0, p95=90)}, {"page": value(None, ok=None)})

    assert math.isnan(line_of(SLOWEST, samples, times, []).values[0])
    assert [math.isnan(known) for known in line_of(PAGE, samples, times, []).values] == [False, True]


def test_a_probe_that_a_target_does_not_have_has_no_line() -> None:
    samples, times = sampled({}, {})
    samples = [replace(sample, probes={"health": value(3)}) for sample in samples]

    assert line_of(DISK, samples, times, []).empty
    assert math.isnan(line_of(DISK, samples, times, []).last)


def test_a_line_does_not_go_over_a_gap() -> None:
    samples, times = sampled(*[{}] * 6)
    times = [*times[:3], *(time + 60 for time in times[3:])]

    missing = gaps(samples, times)
    line = line_of(DISK, samples, times, missing)

    assert missing == [(10.0, 75.0)]
    assert [math.isnan(known) for known in line.values] == [False, False, False, True, False, False, False]
    assert 10 < line.times[3] < 75


def test_a_beat_that_was_missed_is_a_gap_however_short() -> None:
    samples, times = sampled(*[{}] * 4)
    samples[2] = replace(samples[2], missed=1)

    assert gaps(samples, times) == [(5.0, 10.0)]
    assert gaps(samples[:1], times[:1]) == []


@pytest.mark.parametrize(("series", "name", "well", "bad"), [(PAGE, "page", 12, 9000), (DISK, "disk", 60, 2)])
def test_of_more_samples_than_there_is_room_for_the_worst_is_shown(
    series: Series, name: str, well: float, bad: float
) -> None:
    count = 3 * MOST_POINTS
    samples, times = sampled(*({name: value(bad if beat == 601 else well)} for beat in range(count)))

    line = line_of(series, samples, times, [])

    assert step_of(count) == 3
    assert len(line.values) == MOST_POINTS
    assert [time for time, known in zip(line.times, line.values, strict=True) if known == bad] == [601 * BEAT]
