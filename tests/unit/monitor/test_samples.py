"""Samples: read from the end; those around an incident are taken whole, once, and bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rollproof.errors import Unverifiable
from rollproof.incident.incident import Incident
from rollproof.incident.samples import (
    ProbeAnswer,
    ProbeKind,
    Sample,
    keep_samples,
    read_kept,
    read_samples,
    samples_kept,
    samples_path,
)
from rollproof.profile.profile import Target
from rollproof.record_names import SAMPLES
from rollproof.system.clock import Moment
from rollproof.system.process import Process
from tests.unit.made_samples import BEAT, samples, write_samples

PROBES = {
    "health": ProbeAnswer(True, 0.01, "200 status UP", 9.5, kind=ProbeKind.HEALTH),
    "disk": ProbeAnswer(None, 4.0, "unknown: late", kind=ProbeKind.DISK),
    "store redis": ProbeAnswer(False, 0.1, "refused", kind=ProbeKind.STORE, store="redis"),
}


def _sample(beat: int) -> Sample:
    return Sample("sandbox", Process.this(), beat, Moment.now(), 0.004, 0, PROBES)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_samples(tmp_path / "monitor" / "sandbox.jsonl", map(_sample, range(500)))


@pytest.mark.parametrize("count", [1, 6, 499, 500, 501, 10_000])
def test_the_last_ones_are_read_oldest_first(path: Path, count: int) -> None:
    assert path.stat().st_size > 2 * 64 * 1024
    assert [sample.beat for sample in read_samples(path, count)] == list(range(500))[-count:]


@pytest.mark.parametrize("torn", [b"{", b'{"version": 2, "beat"', b"\xff"])
def test_a_torn_last_line_is_left_out_and_cut_off(path: Path, torn: bytes) -> None:
    with path.open("ab") as file:
        file.write(torn)
    assert [sample.beat for sample in read_samples(path, 2)] == [498, 499]
    last = _sample(500)
    write_samples(path, [last])
    before, newest = read_samples(path, 2)
    assert (before.beat, newest) == (499, last)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"\xff\xfe", "no JSON: "),
        (b"{}", "no target, and 6 more"),
        (b"", "no JSON: "),
    ],
)
def test_a_damaged_line_is_named(path: Path, line: bytes, said: str) -> None:
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*whole[:-2], line + b"\n", whole[-1]]))
    with pytest.raises(Unverifiable, match="sample 2 from the end: expected a record of the monitor") as told:
        read_samples(path, 6)
    assert said in str(told.value)
    assert len(read_samples(path, 1)) == 1


def _monitored(target: Target, made: Sequence[Sample]) -> None:
    write_samples(samples_path(target), made)


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


def test_they_are_taken_also_when_the_body_fails(target: Target, incident: Incident) -> None:
    with pytest.raises(RuntimeError), samples_kept(target, incident):  # noqa: PT012 - the rest is its body
        _monitored(target, _made(target, 3))
        raise RuntimeError
    assert _beats(incident) == [0, 1, 2]


def test_own_samples_stand_among_those_of_a_monitor_that_ended(target: Target, incident: Incident) -> None:
    _monitored(target, _made(target, 3, later=-60))
    keep_samples(target, incident, _made(target, 2, first=3))
    assert _beats(incident) == list(range(5))
