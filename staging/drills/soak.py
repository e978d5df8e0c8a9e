"""A soak: a long time without trouble, in which the monitor misses no beat, and what it costs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from fixtures.clock import Moment
from fixtures.process import Process
from fixtures.samples import Sample

WITHIN_SECONDS = 0.05
"""From one beat to the next it may be so much more or less than a beat."""
# utime, stime, cutime and cstime of /proc/PID/stat, counted from the field after the program's name.
_PROCESSOR = slice(11, 15)


@dataclass(frozen=True, slots=True)
class Soak:
    """What a monitor did in `seconds`: how many beats of `beat_seconds`, and how many it missed.

    `shortest` and `longest` are the seconds from one beat to the next, None without two. `core` is the share
    of one core that it used, children included, 0.03 for 3 %; None where its process was not to be seen.
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
        """What is not as it should be, in words."""
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
        """Return it in words."""
        apart = "" if self.shortest is None else f", {self.shortest:.3f} to {self.longest:.3f} s apart"
        core = "" if self.core is None else f", {self.core:.1%} of a core"
        return f"{self.beats} beats in {self.seconds:g} s, {self.missed} missed{apart}{core}"


def soak_of(
    samples: Sequence[Sample], began: Moment, ended: Moment, beat_seconds: float, core: float | None
) -> Soak:
    """Return what `samples`, oldest first, say of the time from `began` to `ended`.

    Counted from is the last sample before it, so that a beat which was missed at its beginning shows; and a
    monitor that has been silent since is as late at its end as it then is.
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
    """Return what a process and those of its children that have ended have computed, in seconds.

    `stat` is its /proc/PID/stat; `ticks` are a second.
    """
    return sum(int(number) for number in stat.rpartition(")")[2].split()[_PROCESSOR]) / ticks


def processor_seconds_of(pid: int) -> float | None:
    """Return what the process `pid` has computed so far, None where it has ended."""
    if Process.of(pid) is None:
        return None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return processor_seconds(stat, os.sysconf("SC_CLK_TCK"))
