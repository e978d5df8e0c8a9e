"""Samples of a monitor that never ran: all well, or with some probes that say something else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from rollproof.incident.samples import ProbeAnswer, ProbeKind, Sample, SampleWriter, Unreached
from rollproof.system.clock import Moment
from rollproof.system.process import Process

BEAT = 5.0
MONITOR = Process(1, 2, "boot", "namespace", "here")
Probes = Mapping[str, ProbeAnswer]


def named(probes: Probes) -> dict[str, ProbeAnswer]:
    """Return `probes`, each of the kind and the store in its name."""
    ids = {name: name.partition(" ") for name in probes}
    return {
        name: replace(probe, kind=ProbeKind(ids[name][0]), store=ids[name][2])
        for name, probe in probes.items()
    }


def requests(
    errors: float = 0, asked: float = 20, log_ins: float = 0, failed: float = 0, p95: float = 90
) -> ProbeAnswer:
    """Return what a beat's requests came to."""
    figures = {"requests": asked, "errors": errors, "log_ins": log_ins, "failed_log_ins": failed, "p95": p95}
    return ProbeAnswer(ok=True, seconds=0.01, text="requests", figures=figures, kind=ProbeKind.REQUESTS)


def value(
    figure: float | None, *, ok: bool | None = True, ratio: float = 1.0, services: tuple[str, ...] = ()
) -> ProbeAnswer:
    """Return a probe with that figure, whose name says what it is of."""
    figures = {"ratio": ratio}
    return ProbeAnswer(ok, 0.01, "said", figure, figures=figures, services=services, kind=ProbeKind.STORE)


def unreached(why: Unreached = Unreached.REFUSED, *, ok: bool | None = None) -> ProbeAnswer:
    """Return a probe that reached nobody; a service that must answer is then not `ok`, or unknown."""
    return ProbeAnswer(ok, 0.01, "nobody is there", unreached=why, kind=ProbeKind.STORE)


WELL: Probes = named(
    {
        "health": value(20),
        "requests": requests(),
        "records": value(0),
        "containers": value(0),
        "memory": value(40),
        "disk": value(60),
        "connections": value(5),
        "page": value(12),
        "lag": value(0),
        "store redis": value(40),
        "vectors milvus": value(1),
        "vectors qdrant": value(1),
    }
)


def samples(
    count: int, of: Callable[[int], Probes], *, well_before: int = 0, target: str = "staging"
) -> list[Sample]:
    """Return samples a beat apart, the last of now: some that are well, then `count` with other probes."""
    made, every, now = [], well_before + count, Moment.now()
    for beat in range(every):
        probes = named({**WELL, **(of(beat - well_before) if beat >= well_before else {})})
        at = replace(now, since_boot=now.since_boot - (every - 1 - beat) * BEAT)
        made.append(Sample(target, MONITOR, beat, at, 0.001, 0, probes))
    return made


def write_samples(path: Path, made: Iterable[Sample]) -> Path:
    """Add `made` to the samples at `path`, as a monitor does, and return that."""
    with closing(SampleWriter(path)) as writer:
        for sample in made:
            writer.write(sample)
    return path


def cut_off(of: Probes | None = None) -> Probes:
    """Return what a machine sees whose network is gone, as a monitor of before wrote it; `of` are others."""
    unknown = {name: value(None, ok=None) for name in WELL}
    engine = {"containers": unreached(), "memory": unreached(Unreached.SILENT)}
    quick = {name: unreached(ok=False) for name in ("health", "page", "store redis")}
    return {**unknown, "disk": value(60), **engine, **quick, **(of or {})}
