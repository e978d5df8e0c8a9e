"""Steps that are shown and written to the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rollback_actions.journal import Journal
from rollback_actions.progress import Progress, Step


class Recorder:
    """Steps that are shown and written to the journal, as `rollback_actions.backup.Steps` asks."""

    def __init__(self, journal: Journal, progress: Progress, require: Callable[[], None]) -> None:
        """Write to `journal`, show on `progress`; `require` is called before each step, and may refuse it."""
        self._journal = journal
        self._progress = progress
        self._require = require

    def note(self, text: str) -> None:
        """Show and record something that is no step."""
        self._progress.say(text)
        self._journal.write("noted", text=text)

    def record(self, event: str, **details: str | float | None) -> None:
        """Record something that is no step, for programs."""
        self._journal.write(event, **details)

    @contextmanager
    def __call__(self, name: str, deadline: float | None = None) -> Iterator[Step]:
        """Open the step called `name`, if this process may still act.

        `deadline` is how many seconds it may take; it is recorded here, and kept by whoever does the step.
        """
        self._require()
        details = {} if deadline is None else {"deadline_seconds": round(deadline, 1)}
        with self._progress.step(name) as shown, self._journal.step(name, **details) as recorded:
            yield shown
            recorded["result"] = shown.result
