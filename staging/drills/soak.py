"""A soak: a long time without trouble, in which the monitor must miss no beat; and its cost."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from rollproof.monitoring.samples import Sample
from rollproof.system.clock import Moment
from rollproof.system.process import Process

WITHIN_SECONDS = 0.05
"""Allowed deviation of the time between two beats."""
# utime, stime, cutime and cstime of /proc/PID/stat, counted from the field after the program's name.
_PROCESSOR = slice(11, 15)


@dataclass(frozen=True, slots=True)
class Soak:
    """A monitor's record of `seconds`: its beats of `beat_seconds`, and the beats that it missed.

    `shortest` and `longest` are the seconds between two beats, None if there were fewer than two. `core` is
    the share of one core that it used, children included, 0.03 for 3 %; None if its process was gone.
    """

    seconds: float
    beat_seconds: float
    beats: int
    missed: int
    shortest: float | None
    longest: float | None
    core: float | None

    @property
    def wrong(self) -> tuple[str, ...]:
        """All deviations from the expected beat, in words."""
        found = []
        least, most = self.beat_seconds - WITHIN_SECONDS, self.beat_seconds + WITHIN_SECONDS
        if self.missed:
            found.append(f"missed beats: expected none, observed {self.missed}")
        if self.shortest is None or self.longest is None:
            found.append(f"beats: expected one each {self.beat_seconds:g} s, observed {self.beats}")
        elif self.shortest < least or self.longest > most:
            found.append(
                f"from beat to beat: expected {least:.2f} to {most:.2f} s,"
                f" observed {self.shortest:.3f} to {self.longest:.3f} s"
            )
        if self.core is None:
            found.append("process of the monitor: expected one to the end, observed none")
        return tuple(found)

    def __str__(self) -> str:
        """Return the soak in words."""
        apart = "" if self.shortest is None else f", {self.shortest:.3f} to {self.longest:.3f} s apart"
        core = "" if self.core is None else f", {self.core:.1%} of a core"
        return f"{self.beats} beats in {self.seconds:g} s, {self.missed} missed{apart}{core}"


def soak_of(
    samples: Sequence[Sample], began: Moment, ended: Moment, beat_seconds: float, core: float | None
) -> Soak:
    """Return the soak from `began` to `ended` by `samples`, oldest first.

    It counts from the last sample before `began`, so that a beat missed at the beginning shows. A monitor
    that has been silent since its last sample counts as late at the end.
    """
    before = [sample for sample in samples if sample.at.seconds_since(began) <= 0][-1:]
    within = [
        sample for sample in samples if 0 < sample.at.seconds_since(began) <= ended.seconds_since(began)
    ]
    apart = [after.at.seconds_since(first.at) for first, after in pairwise([*before, *within])]
    return Soak(
        seconds=round(ended.seconds_since(began), 3),
        beat_seconds=beat_seconds,
        beats=len(within),
        missed=sum(sample.missed for sample in within),
        shortest=round(min(apart), 4) if apart else None,
        longest=round(max(*apart, ended.seconds_since(within[-1].at)), 4) if apart else None,
        core=core,
    )


def processor_seconds(stat: str, ticks: int) -> float:
    """Return the processor seconds of a process and of its ended children.

    `stat` is its /proc/PID/stat; `ticks` is the number of ticks per second.
    """
    return sum(int(number) for number in stat.rpartition(")")[2].split()[_PROCESSOR]) / ticks


def processor_seconds_of(pid: int) -> float | None:
    """Return the processor seconds that the process `pid` has used so far, or None if it has ended."""
    if Process.of(pid) is None:
        return None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return processor_seconds(stat, os.sysconf("SC_CLK_TCK"))
