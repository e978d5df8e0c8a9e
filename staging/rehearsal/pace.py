"""The pace of a rehearsal: as quick as the stack allows, or by the runbook's timetable."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from reports.terminal.progress import Progress

_MINUTE = 60.0
_PREPARATION_MINUTES = 30


class RehearsalPace(StrEnum):
    """The pace of a rehearsal."""

    QUICK = "quick"
    """Nothing waits except for the stack, and what is not critical is investigated for seconds."""

    RUNBOOK = "runbook"
    """Each part begins at the runbook's time, and the profile's bands and times are the runbook's."""

    @property
    def settings(self) -> Mapping[str, object]:
        """The settings of the profile that this pace changes."""
        if self is RehearsalPace.RUNBOOK:
            # In the runbook the trouble begins shortly before it is detected; here, with the migration.
            return {"RTO_SECONDS": 600 + Time.DETECTED * 60}
        return {
            "RESPONDING__INVESTIGATION_SECONDS": 20,
            "SEVERITY__NON_CRITICAL": {
                "errors": {"seconds": 60},
                "vectors": {"seconds": 60},
                "containers": {"seconds": 5},
            },
        }


class Time(IntEnum):
    """A time of the runbook's timetable, in minutes after the migration started, T+0."""

    MIGRATION = 0
    DETECTED = 10
    DECISION = 12
    VERIFIED = 20
    POST_MORTEM = 60


@dataclass(frozen=True, slots=True)
class Timetable:
    """The runbook's timetable of a rehearsal whose preparation begins now."""

    pace: RehearsalPace
    progress: Progress
    began: float = field(default_factory=time.monotonic)

    def wait_until(self, due: Time) -> None:
        """Wait until that time; at the quick pace, do not wait."""
        left = self.began + (_PREPARATION_MINUTES + due) * _MINUTE - time.monotonic()
        if self.pace is RehearsalPace.RUNBOOK and left > 0:
            with self.progress.step(f"wait for T+{due:d} min of the runbook: {due.name.lower()}"):
                time.sleep(left)
