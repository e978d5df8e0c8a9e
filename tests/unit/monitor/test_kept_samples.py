"""The samples around an incident: taken whole, once, bounded; and what could not be taken is said there."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from rollproof.errors import Unverifiable, UsageProblem
from rollproof.incident import kept_samples
from rollproof.incident.incident import Incident, find_change
from rollproof.incident.kept_samples import KeptSamples, keep_samples, read_kept, read_taken, samples_kept
from rollproof.monitoring.samples import Sample, SampleWriter, read_samples, samples_path
from rollproof.profile.profile import Target
from rollproof.record_names import SAMPLES, TAKEN
from rollproof.system.clock import Moment
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
    kept = keep_samples(target, incident)
    of_time = [sample for sample in made if incident.started.seconds_since(sample.at) <= 1800]
    assert 350 < len(of_time) < 370
    assert read_samples(incident.folder / SAMPLES, 500) == tuple(of_time)
    assert kept == read_taken(incident.folder)
    assert (kept.count, kept.last, kept.problem) == (len(of_time), made[-1].at.wall, None)


def test_what_came_since_is_added_once(target: Target, incident: Incident) -> None:
    _monitored(target, _made(target, 10))
    with samples_kept(target, incident):
        assert _beats(incident) == list(range(10))
        _monitored(target, _made(target, 4, later=4 * BEAT, first=10))
    assert _beats(incident) == list(range(14))
    before = (incident.folder / SAMPLES).read_bytes()
    keep_samples(target, incident)
    assert (incident.folder / SAMPLES).read_bytes() == before


def test_a_monitor_that_was_started_anew_is_added_whose_beats_begin_again(
    target: Target, incident: Incident
) -> None:
    _monitored(target, _made(target, 10))
    keep_samples(target, incident)
    _monitored(target, _made(target, 3, later=3 * BEAT))
    keep_samples(target, incident)
    assert _beats(incident) == [*range(10), 0, 1, 2]


def test_what_is_kept_stays_when_the_monitor_s_file_is_gone(target: Target, incident: Incident) -> None:
    _monitored(target, _made(target, 10))
    keep_samples(target, incident)
    samples_path(target).unlink()
    kept = keep_samples(target, incident)
    assert _beats(incident) == list(range(10))
    assert kept.count == 10
    assert kept.problem is not None
    _monitored(target, _made(target, 2, later=2 * BEAT, first=10))
    assert keep_samples(target, incident).problem is None
    assert _beats(incident) == list(range(12))


def test_they_are_taken_also_when_the_body_fails(target: Target, incident: Incident) -> None:
    with pytest.raises(RuntimeError), samples_kept(target, incident):  # noqa: PT012 - the rest is its body
        _monitored(target, _made(target, 3))
        raise RuntimeError
    assert _beats(incident) == [0, 1, 2]


def test_they_are_bounded_and_what_is_left_out_is_said(
    target: Target, incident: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_samples, "MOST", 10)
    _monitored(target, _made(target, 8))
    keep_samples(target, incident)
    _monitored(target, _made(target, 6, later=6 * BEAT, first=8))
    kept = keep_samples(target, incident)
    assert _beats(incident) == [0, 1, 2, 3, 4, 9, 10, 11, 12, 13]
    assert (kept.count, kept.left_out) == (10, 4)
    assert "4 between left out" in str(kept)
    assert keep_samples(target, incident).left_out == 4


def test_samples_of_another_target_are_not_ours(target: Target, incident: Incident) -> None:
    _monitored(target, [replace(sample, target="other") for sample in _made(target, 3)])
    kept = keep_samples(target, incident)
    assert (kept.count, kept.problem) == (0, None)
    assert read_kept(incident.folder) == ()


@pytest.mark.parametrize("line", [b"garbage\n", b"{}\n", b"\xff\n", b"\n"])
def test_damaged_lines_are_left_out_and_counted(target: Target, incident: Incident, line: bytes) -> None:
    _monitored(target, _made(target, 3))
    with samples_path(target).open("ab") as file:
        file.write(line)
    _monitored(target, _made(target, 2, later=2 * BEAT, first=3))
    kept = keep_samples(target, incident)
    assert _beats(incident) == list(range(5))
    assert (kept.damaged, kept.problem) == (1, None)


def _no_file(target: Target) -> None:
    assert not samples_path(target).exists()


def _a_folder(target: Target) -> None:
    samples_path(target).mkdir(parents=True)


@pytest.mark.parametrize(("harm", "said"), [(_no_file, "observed none"), (_a_folder, "Is a directory")])
def test_no_monitor_fails_nothing_and_is_said(
    target: Target, incident: Incident, harm: Callable[[Target], None], said: str
) -> None:
    harm(target)
    assert said in str(keep_samples(target, incident))
    found = read_taken(incident.folder)
    assert found is not None
    assert found.count == 0
    assert said in str(found.problem)
    assert read_kept(incident.folder) == ()


def test_kept_samples_that_are_damaged_stay_as_they_are(target: Target, incident: Incident) -> None:
    _monitored(target, _made(target, 3))
    (incident.folder / SAMPLES).write_bytes(b"garbage\n")
    kept = keep_samples(target, incident)
    assert "sample 1 from the end: expected a record of the monitor" in str(kept.problem)
    assert (incident.folder / SAMPLES).read_bytes() == b"garbage\n"
    with pytest.raises(Unverifiable, match="sample 1 from the end"):
        read_kept(incident.folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"count": "many"}', "null", "\x00"])
def test_a_damaged_record_of_the_taking_is_said_and_written_anew(
    target: Target, incident: Incident, text: str
) -> None:
    _monitored(target, _made(target, 3))
    (incident.folder / TAKEN).write_text(text)
    with pytest.raises(UsageProblem, match="record of the samples of the incident: expected a readable"):
        read_taken(incident.folder)
    assert keep_samples(target, incident).count == 3
    assert read_taken(incident.folder) is not None


def test_where_nothing_can_be_written_nothing_fails(
    target: Target, incident: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    _monitored(target, _made(target, 3))

    def full(path: Path, *_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28), str(path))

    for written in ("write_whole", "write_record"):
        monkeypatch.setattr(kept_samples, written, full)
    assert "No space left on device" in str(keep_samples(target, incident).problem)
    assert read_taken(incident.folder) is None


def test_none_were_taken_where_none_were_asked_for(incident: Incident) -> None:
    assert read_taken(incident.folder) is None
    assert read_kept(incident.folder) == ()


def test_the_record_of_a_change_keeps_none(target: Target) -> None:
    _monitored(target, _made(target, 3))
    change = find_change(target.folders.incidents, target.name, "a" * 40)
    assert keep_samples(target, change) == KeptSamples(0, None, None)
    assert not (change.folder / SAMPLES).exists()


def test_moments_are_those_of_the_samples(target: Target, incident: Incident) -> None:
    made = _made(target, 2)
    _monitored(target, made)
    kept = keep_samples(target, incident)
    assert kept.first == made[0].at.wall
    assert Moment.now().seconds_since(incident.started) < 1800
