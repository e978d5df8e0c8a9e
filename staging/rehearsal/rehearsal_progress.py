"""The progress of a rehearsal: one bar of what is done and left, by the times of the last one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from reports.terminal.progress import Progress, ProgressStep
from rollproof.system.files import write_whole

_WIDTH = 20


class RehearsalProgress(Progress):
    """Progress whose bar, on a terminal, shows how much is done, and when the rehearsal will have ended.

    The file `times` has the seconds after which each step of the last rehearsal ended. Steps are known by
    their number: the titles have ids that differ.
    """

    def __init__(self, times: Path) -> None:
        """Measure by the times in that file, if it is there."""
        super().__init__()
        self._times = times
        self._last: list[float] = json.loads(times.read_text(encoding="utf-8")) if times.exists() else []
        self._ended: list[float] = []
        self._began = time.monotonic()
        self._show: Callable[[str], None] = lambda _: None

    @contextmanager
    def bar(self) -> Iterator[None]:
        """Show the bar during the block; if that succeeds, its times are those of the next bar."""
        with self.line(self._text()) as self._show:
            yield
        self._times.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._times, json.dumps(self._ended).encode())

    @contextmanager
    def step(self, title: str) -> Iterator[ProgressStep]:
        """Show the step as `Progress` does, and then where the bar stands."""
        with super().step(title) as step:
            yield step
        self._ended.append(round(time.monotonic() - self._began, 1))
        self._show(self._text())

    def _text(self) -> str:
        count = len(self._ended)
        if not self._last or count > len(self._last):
            return f"{count} steps done"
        done, whole = self._last[count - 1] if count else 0.0, self._last[-1]
        full = int(_WIDTH * done / whole)
        end = datetime.now().astimezone() + timedelta(seconds=whole - done)
        return f"{'━' * full}{'╌' * (_WIDTH - full)} {done / whole:.0%}, will end about {end:%H:%M:%S}"
