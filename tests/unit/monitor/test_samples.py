"""Samples: what was written is read, from the end, and what is no sample is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollproof.errors import Unverifiable
from rollproof.monitoring.samples import Probe, ProbeKind, Sample, SampleWriter, read_samples
from rollproof.system.clock import Moment
from rollproof.system.process import Process

PROBES = {
    "health": Probe(True, 0.01, "200 status UP", 9.5, kind=ProbeKind.HEALTH),
    "disk": Probe(None, 4.0, "unknown: late", kind=ProbeKind.DISK),
    "store redis": Probe(False, 0.1, "refused", kind=ProbeKind.STORE, store="redis"),
}


def _sample(beat: int) -> Sample:
    return Sample("sandbox", Process.this(), beat, Moment.now(), 0.004, 0, PROBES)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "monitor" / "sandbox.jsonl"
    writer = SampleWriter(path)
    for beat in range(500):
        writer.write(_sample(beat))
    writer.close()
    return path


@pytest.mark.parametrize("count", [1, 6, 499, 500, 501, 10_000])
def test_the_last_ones_are_read_oldest_first(path: Path, count: int) -> None:
    assert path.stat().st_size > 2 * 64 * 1024
    assert [sample.beat for sample in read_samples(path, count)] == list(range(500))[-count:]


@pytest.mark.parametrize("torn", [b"{", b'{"version": 2, "beat"', b"\xff"])
def test_a_torn_last_line_is_left_out_and_cut_off(path: Path, torn: bytes) -> None:
    with path.open("ab") as file:
        file.write(torn)
    assert [sample.beat for sample in read_samples(path, 2)] == [498, 499]
    writer, last = SampleWriter(path), _sample(500)
    writer.write(last)
    writer.close()
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
