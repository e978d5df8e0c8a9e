"""Steps that are shown and written to the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from reports.terminal.progress import Progress, ProgressStep
from rollback_actions.session.journal import Detail, Journal
from rollproof.incident.journal import JournalEvent
from rollproof.incident.journal_steps import Step


class Recorder:
    """Steps that are shown and written to the journal, as `rollproof.incident.journal_steps.Steps` asks."""

    def __init__(self, journal: Journal, progress: Progress, require: Callable[[], None]) -> None:
        """Write to `journal`, show on `progress`; `require` is called before each step, and may refuse it."""
        self._journal = journal
        self._progress = progress
        self._require = require

    def note(self, text: str) -> None:
        """Show and record a text that is no step."""
        self._progress.say(text)
        self._journal.write(JournalEvent.NOTED, text=text)

    def record(self, event: str, **details: Detail) -> None:
        """Record an event that is no step, for programs."""
        self._journal.write(event, **details)

    @contextmanager
    def __call__(self, step: Step, of: str = "", deadline: float | None = None) -> Iterator[ProgressStep]:
        """Open `step` of a store or service, if this process may still act.

        `deadline` is the seconds that it may take; recorded here, enforced by the code that does the step.
        """
        self._require()
        details = {} if deadline is None else {"deadline_seconds": round(deadline, 1)}
        name = step.sentence(of)
        with (
            self._progress.step(name) as shown,
            self._journal.step(name, id=step, of=of, **details) as recorded,
        ):
            yield shown
            recorded["result"] = shown.result
