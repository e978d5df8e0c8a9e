"""Time that passes only while somebody waits."""

from __future__ import annotations

from dataclasses import dataclass, field

from rollproof.system.command import Deadline


@dataclass
class Waiting:
    """A clock for what waits with a deadline: `passed` are the seconds waited so far."""

    passed: float = 0.0

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass, and at least one."""
        self.passed += max(1.0, seconds)

    def deadline(self, seconds: float) -> Deadline:
        """Return a deadline by this clock."""
        return _Until(seconds, self.passed, waiting=self)


@dataclass(frozen=True)
class _Until(Deadline):
    waiting: Waiting = field(kw_only=True)

    @property
    def remaining(self) -> float:
        return max(0.0, self.started + self.seconds - self.waiting.passed)
