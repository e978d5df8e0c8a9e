"""A soak's figures: beats, those that were missed, and how far they are apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from rollproof.monitoring.samples import Sample
from staging.drills.soak import Soak, soak_of
from tests.unit.made_samples import BEAT, samples


def _soak(made: Sequence[Sample], first: int = 0, last: int = -1, *, after: float = 1.0) -> Soak:
    """Return the soak that began just before sample `first` and ended `after` seconds after the last."""
    began, end = (
        replace(sample.at, since_boot=sample.at.since_boot + seconds)
        for sample, seconds in ((made[first], -1), (made[last], after))
    )
    return soak_of(made, began, end, BEAT, 0.03)


def _shifted(sample: Sample, seconds: float, missed: int = 0) -> Sample:
    at = replace(sample.at, since_boot=sample.at.since_boot + seconds)
    return replace(sample, at=at, missed=missed)


def test_beats_within_the_time_are_counted() -> None:
    soak = _soak(samples(20, lambda _: {}), 5, 14)
    assert (soak.beats, soak.missed) == (10, 0)
    assert soak.seconds == pytest.approx(9 * BEAT + 2)
    assert set(soak.apart) == {BEAT}
    assert soak.wrong == ()


@pytest.mark.parametrize(("seconds", "wrong"), [(0.04, 0), (0.06, 1), (-0.06, 1)])
def test_a_beat_that_is_off_is_wrong(seconds: float, wrong: int) -> None:
    made = samples(6, lambda _: {})
    made[3] = _shifted(made[3], seconds)
    assert len(_soak(made).wrong) == wrong


@pytest.mark.parametrize("gone", [0, 1, 3])
def test_a_missed_beat_is_wrong_also_the_first(gone: int) -> None:
    made = samples(8, lambda _: {})
    left = [*made[: 2 + gone], _shifted(made[3 + gone], 0.0, missed=1), *made[4 + gone :]]
    began = replace(made[1].at, since_boot=made[1].at.since_boot + 1)
    soak = soak_of(left, began, made[-1].at, BEAT, 0.03)
    assert soak.missed == 1
    assert max(soak.apart) == pytest.approx(2 * BEAT)
    assert [text.split(":")[0] for text in soak.wrong] == ["missed beats", "from beat to beat"]


def test_a_monitor_that_is_silent_at_the_end_or_all_the_time_is_wrong() -> None:
    made = samples(6, lambda _: {})
    assert max(_soak(made, after=60.0).apart) == pytest.approx(60.0)
    assert _soak(made, after=60.0).wrong
    later = replace(made[-1].at, since_boot=made[-1].at.since_boot + 1)
    for found in (made, []):
        silent = soak_of(found, later, replace(later, since_boot=later.since_boot + 60), BEAT, 0.03)
        assert (silent.beats, len(silent.wrong)) == (0, 1)
