"""Steps that are shown and written to the journal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rollback_actions.journal import Journal
from rollback_actions.progress import Progress, Step


class Recorder:
    """Steps that are shown and written to the journal, as `rollback_actions.backup.Steps` asks."""

    def __init__(self, journal: Journal, progress: Progress) -> None:
        """Write to `journal`, show on `progress`."""
        self._journal = journal
        self._progress = progress

    def note(self, text: str) -> None:
        """Show and record something that is no step."""
        self._progress.say(text)
        self._journal.write("noted", text=text)

    @contextmanager
    def __call__(self, name: str) -> Iterator[Step]:
        """Open the step called `name`."""
        with self._progress.step(name) as shown, self._journal.step(name) as recorded:
            yield shown
            recorded["result"] = shown.result
