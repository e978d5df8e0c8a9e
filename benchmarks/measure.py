"""One thing that was measured."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Measure:
    """How long something took, each time that it was done."""

    name: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median of the times."""
        return median(self.seconds)
