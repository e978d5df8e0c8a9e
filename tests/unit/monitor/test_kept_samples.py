"""The samples around an incident: taken whole, once, bounded; and what could not be taken is said there."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

import pytest

from rollproof.incident.incident import Incident
from rollproof.incident.kept_samples import keep_samples, read_kept, samples_kept
from rollproof.monitoring.samples import Sample, SampleWriter, read_samples, samples_path
from rollproof.profile.profile import Target
from rollproof.record_names import SAMPLES
from tests.unit.made_samples import BEAT, samples


def _monitored(target: Target, made: Sequence[Sample]) -> None:
    with closing(SampleWriter(samples_path(target))) as writer:
        for sample in made:
            writer.write(sample)


def _made(target: Target, count: int, *, later: float = 0.0, first: int = 0) -> list[Sample]:
    """Return samples a beat apart; the last is `later` seconds after now."""
    return [
        replace(sample, beat=first + number, at=replace(sample.at, since_boot=sample.at.since_boot + later))
        for number, sample in enumerate(samples(count, lambda _: {}, target=target.name))
    ]


def _beats(incident: Incident) -> list[int]:
    return [sample.beat for sample in read_kept(incident.folder)]


def test_half_an_hour_before_the_incident_is_kept_as_the_monitor_wrote_it(
    target: Target, incident: Incident
) -> None:
    made = _made(target, 500)
    _monitored(target, made)
    keep_samples(target, incident)
    of_time = [sample for sample in made if incident.started.seconds_since(sample.at) <= 1800]
    assert 350 < len(of_time) < 370
    assert read_samples(incident.folder / SAMPLES, 500) == tuple(of_time)


def test_what_came_since_is_added_once(target: Target, incident: Incident) -> None:
    _monitored(target, _made(target, 10))
    with samples_kept(target, incident):
        assert _beats(incident) == list(range(10))
        _monitored(target, _made(target, 4, later=4 * BEAT, first=10))
    assert _beats(incident) == list(range(14))
    before = (incident.folder / SAMPLES).read_bytes()
    keep_samples(target, incident)
    assert (incident.folder / SAMPLES).read_bytes() == before


def test_samples_of_another_target_are_not_ours(target: Target, incident: Incident) -> None:
    _monitored(target, [replace(sample, target="other") for sample in _made(target, 3)])
    keep_samples(target, incident)
    assert read_kept(incident.folder) == ()


@pytest.mark.parametrize("line", [b"garbage\n", b"{}\n", b"\xff\n", b"\n"])
def test_damaged_lines_are_left_out(target: Target, incident: Incident, line: bytes) -> None:
    _monitored(target, _made(target, 3))
    with samples_path(target).open("ab") as file:
        file.write(line)
    _monitored(target, _made(target, 2, later=2 * BEAT, first=3))
    keep_samples(target, incident)
    assert _beats(incident) == list(range(5))


@pytest.mark.parametrize("a_folder", [False, True])
def test_no_monitor_fails_nothing(target: Target, incident: Incident, *, a_folder: bool) -> None:
    if a_folder:
        samples_path(target).mkdir(parents=True)
    keep_samples(target, incident)
    assert read_kept(incident.folder) == ()


def test_own_samples_stand_among_those_of_a_monitor_that_ended(target: Target, incident: Incident) -> None:
    _monitored(target, _made(target, 3, later=-60))
    keep_samples(target, incident, _made(target, 2, first=3))
    assert _beats(incident) == list(range(5))
