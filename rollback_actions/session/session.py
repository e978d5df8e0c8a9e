"""The things that a command needs for its changes: the target's lock, an incident, its journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from reports.terminal.progress import Progress, ProgressStep
from rollback_actions.session.journal import Detail, Journal
from rollback_actions.session.lock import TargetLock
from rollproof.baseline.folder import Baseline
from rollproof.baseline.known_good import require_engine
from rollproof.engines.engine import open_engine
from rollproof.incident.incident import Incident, find_or_create_incident
from rollproof.incident.journal import JournalEvent
from rollproof.incident.journal_steps import Step
from rollproof.incident.leaks import without_leaks
from rollproof.profile.profile import Target
from rollproof.record_names import JOURNAL
from rollproof.sealing.seal import sealed
from rollproof.system.command import observed
from rollproof.system.file_lock import file_lock
from rollproof.system.holder import Holder, author
from rollproof.system.process import Life, unhung

# A writer has a journal for a moment; a slow disk may make that longer.
_RECORD_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Session:
    """The things that every command works with."""

    incident: Incident
    steps: Recorder


def require_own_engine(target: Target, baseline: Baseline | None = None, *, capturing: bool = False) -> None:
    """Refuse an engine that is not the target's, and print what is unsure; see `require_engine`.

    It is asked before the lock is taken, which is a volume of the engine.
    """
    if unsure := require_engine(target, open_engine(target.engine), baseline, capturing=capturing):
        typer.echo(unsure, err=True)


@contextmanager
def open_session(
    target: Target, lock: TargetLock, command: Step, choose: Callable[[], str | None]
) -> Iterator[Session]:
    """Take the target's lock, open the journal for `command`; at the end, seal the record, print its place.

    `choose` is called under the lock; it names the incident to add to, or returns None for a new one.

    Raises:
        UsageProblem: another command holds the lock. `SecretInRecord`: the body ended well, and the record
            holds a secret.
    """
    redactor = target.redactor()
    with unhung(), lock, Progress(redact=redactor.text) as progress:
        found = find_or_create_incident(target.folders.incidents, target.name, choose())
        me = lock.holder
        with sealed(found.folder, target.signing, me.what, progress.say) as wrong:
            for text in wrong:
                progress.say(f"the record does not hold: {text}")
            journal = Journal(found.folder / JOURNAL, redactor.text)
            with (
                without_leaks(found.folder, redactor, progress.say),
                observed(journal.ran),
                journal.step(me.what, id=command, **author()),
            ):
                if lock.taken_from is not None:
                    _record_taking_over(lock.taken_from, journal, progress)
                yield Session(found, Recorder(journal, progress, lock.require))
    typer.echo(f"incident: {found.folder}")


@contextmanager
def sealed_journal(
    target: Target, path: Path, by: str, say: Callable[[str], None], seconds: float = _RECORD_SECONDS
) -> Iterator[Journal]:
    """Yield the journal at `path` in a record, locked against other writers; seal it alone after the body.

    One who has it already is waited for, `seconds` at most.
    """
    folder = path.parent
    lock = folder.with_name(f".{folder.name}.{path.stem}.lock")
    with (
        file_lock(lock, f"write {path.name} of {folder.name}", wait_seconds=seconds),
        sealed(folder, target.signing, by, say, lambda name: name.startswith(path.stem)),
    ):
        yield Journal(path, target.redactor().text)


def _record_taking_over(before: Holder, journal: Journal, progress: Progress) -> None:
    life = before.life()
    journal.write(
        JournalEvent.TOOK_OVER,
        **{name: value for name, value in before.record().items() if name != "token"},
        life=life,
    )
    word = ": that it has ended is your word" if life is Life.UNKNOWN else ""
    progress.say(f"took the lock over from {before}, {life}{word}")


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
