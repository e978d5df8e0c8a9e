"""A soak: a long time without trouble, in which the monitor must miss no beat; and its cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rollproof.monitoring.samples import Sample
from rollproof.system.clock import Moment

WITHIN_SECONDS = 0.05
"""Allowed deviation of the time between two beats."""


@dataclass(frozen=True, slots=True)
class Soak:
    """A monitor's record of `seconds`: its beats of `beat_seconds`, and the beats that it missed.

    `apart` are the seconds from beat to beat. `core` is the share of one core that it used, children
    included, 0.03 for 3 %.
    """

    seconds: float
    beat_seconds: float
    beats: int
    missed: int
    apart: tuple[float, ...]
    core: float

    @property
    def wrong(self) -> tuple[str, ...]:
        """All deviations from the expected beat, in words."""
        found = []
        if self.missed:
            found.append(f"missed beats: expected none, observed {self.missed}")
        if not self.apart:
            found.append(f"beats: expected one each {self.beat_seconds:g} s, observed {self.beats}")
        elif max(abs(seconds - self.beat_seconds) for seconds in self.apart) > WITHIN_SECONDS:
            found.append(
                f"from beat to beat: expected {self.beat_seconds:g} ± {WITHIN_SECONDS} s,"
                f" observed {min(self.apart):.3f} to {max(self.apart):.3f} s"
            )
        return tuple(found)

    def __str__(self) -> str:
        """Return the soak in words."""
        span = f", {min(self.apart):.3f} to {max(self.apart):.3f} s apart" if self.apart else ""
        return f"{self.beats} beats in {self.seconds:g} s, {self.missed} missed{span}, {self.core:.1%} of it"


def soak_of(
    samples: Sequence[Sample], began: Moment, ended: Moment, beat_seconds: float, core: float
) -> Soak:
    """Return the soak from `began` to `ended` by `samples`, oldest first.

    It counts from the last sample before `began`, so that a beat missed at the beginning shows. A monitor
    that has been silent since its last sample counts as late at the end.
    """
    long = ended.seconds_since(began)
    at = [(sample.at.seconds_since(began), sample) for sample in samples]
    within = [(seconds, sample) for seconds, sample in at if 0 < seconds <= long]
    times = [seconds for seconds, _ in at if seconds <= 0][-1:] + [seconds for seconds, _ in within]
    apart = [after - first for first, after in pairwise(times)]
    if apart and within and long - within[-1][0] > beat_seconds:
        apart.append(long - within[-1][0])
    return Soak(
        seconds=round(long, 3),
        beat_seconds=beat_seconds,
        beats=len(within),
        missed=sum(sample.missed for _, sample in within),
        apart=tuple(round(seconds, 4) for seconds in apart),
        core=core,
    )
