"""Moments that survive a jump of the wall clock, and lengths of time for people.

A moment holds the wall time, for people, and the time since boot, for arithmetic. Two moments of one boot are
subtracted by the time since boot, so setting the clock back or forward during an incident changes nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Self

from rollproof.system.record_files import Must, as_json, record_of

# Beyond these, a time has no form in another zone, nor the hour before it or after.
_FIRST_YEAR, _LAST_YEAR = 1970, 9998
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@cache
def this_boot() -> str:
    """Return the id of this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _is_time(wall: str) -> bool:
    try:
        found = datetime.fromisoformat(wall)
    except ValueError:
        return False
    return found.tzinfo is not None and _FIRST_YEAR <= found.year <= _LAST_YEAR


WallTime = Annotated[str, Must("a time of ISO 8601 with its zone", _is_time)]
"""A time by the wall clock, as a record has it."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time: ISO 8601 wall time in UTC, seconds since boot, and which boot."""

    wall: WallTime
    since_boot: float
    boot: str

    @classmethod
    def now(cls) -> Self:
        """Return this moment."""
        wall = datetime.now(UTC).isoformat(timespec="milliseconds")
        return cls(wall=wall, since_boot=time.clock_gettime(time.CLOCK_BOOTTIME), boot=this_boot())

    @classmethod
    def from_record(cls, record: object) -> Self:
        """Return the moment in `record`; raises `WrongRecord` if it is no moment."""
        return record_of(cls, record)

    def record(self) -> dict[str, Any]:
        """Return the moment as JSON can hold it."""
        found: dict[str, Any] = as_json(self)
        return found

    def seconds_ago(self) -> float:
        """Return the seconds from this moment to now."""
        return Moment.now().seconds_since(self)

    def seconds_since(self, earlier: Moment) -> float:
        """Return the seconds from `earlier` to this; by the wall clock only when the machine was rebooted."""
        if self.boot and self.boot == earlier.boot:
            return self.since_boot - earlier.since_boot
        return (datetime.fromisoformat(self.wall) - datetime.fromisoformat(earlier.wall)).total_seconds()


def is_recent(seconds: float, oldest: float) -> bool:
    """Return whether an age is at most `oldest`; by a negative one, that clock cannot be trusted with it."""
    return 0 <= seconds <= oldest


def age(seconds: float) -> str:
    """Return a length of time for people, such as ``2 h 5 min``.

    >>> age(7500), age(3600 - 1e-9), age(59.9)
    ('2 h 5 min', '1 h 0 min', '59 s')
    """
    # As a float, a difference of moments may be a little less than it was meant.
    whole = int(round(max(seconds, 0), 3))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def t_plus(seconds: float) -> str:
    """Return a time after T+0 as the runbook says it, in whole seconds that have passed.

    >>> t_plus(125.9), t_plus(-30), t_plus(-0.4)
    ('T+2:05', 'T-0:30', 'T+0:00')
    """
    whole = int(round(seconds, 3))
    minutes, rest = divmod(abs(whole), _MINUTE)
    return f"T{'-' if whole < 0 else '+'}{minutes}:{rest:02d}"
