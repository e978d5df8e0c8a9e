"""What a command that changes something works with: the target's lock, an incident, its journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from fixtures.command import observed
from fixtures.incident import Incident, find_incident, new_incident
from fixtures.redaction import Redactor
from fixtures.target import Target
from rollback_actions.holder import Holder, Life
from rollback_actions.journal import Journal
from rollback_actions.lock import TargetLock
from rollback_actions.progress import Progress
from rollback_actions.steps import Recorder

Profile = Annotated[
    Path,
    typer.Option("--target", envvar="ROLLPROOF_TARGET", help="Profile of the target.", show_default=False),
]
IncidentId = Annotated[
    str | None,
    typer.Option("--incident", help="Incident to add to (default: a new one).", show_default=False),
]
TakeOver = Annotated[
    bool,
    typer.Option(
        "--take-over", help="Take the target's lock over from one who cannot give it back any more."
    ),
]


@dataclass(frozen=True, slots=True)
class Session:
    """What every command works with."""

    target: Target
    incident: Incident
    steps: Recorder


@contextmanager
def open_session(target: Target, lock: TargetLock, choose: Callable[[], str | None]) -> Iterator[Session]:
    """Take the target's lock, open the journal; say where the record is at the end.

    `choose` is asked under the lock, and names the incident to add to, or None for a new one.
    """
    incidents = target.folders.incidents
    with lock, Progress() as progress:
        wanted = choose()
        found = (
            find_incident(incidents, target.name, wanted) if wanted else new_incident(incidents, target.name)
        )
        redactor = Redactor(target.secrets())
        journal = Journal(found.folder / "journal.jsonl", redactor.text)
        me = lock.holder
        with (
            observed(journal.ran),
            journal.step(me.what, user=me.user, host=me.host, pid=str(me.process.pid)),
        ):
            if lock.taken_from is not None:
                _record_taking_over(lock.taken_from, journal, progress)
            lock.declare(found.id)
            yield Session(target, found, Recorder(journal, progress, lock.require))
    typer.echo(f"incident: {found.folder}")


def _record_taking_over(before: Holder, journal: Journal, progress: Progress) -> None:
    life = before.life()
    journal.write(
        "took over", **{name: value for name, value in before.record().items() if name != "token"}, life=life
    )
    word = ": that it has ended is your word" if life is Life.UNKNOWN else ""
    progress.say(f"took the lock over from {before}, {life}{word}")
