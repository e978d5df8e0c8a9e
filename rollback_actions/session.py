"""What a command that changes something works with: the target's lock, an incident, its journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from fixtures.incident import Incident, find_incident, new_incident
from fixtures.redaction import Redactor
from fixtures.target import Target
from rollback_actions.journal import Journal
from rollback_actions.lock import target_lock
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


@dataclass(frozen=True, slots=True)
class Session:
    """What every command works with."""

    target: Target
    incident: Incident
    steps: Recorder


@contextmanager
def open_session(target: Target, choose: Callable[[], str | None], what: str) -> Iterator[Session]:
    """Take the target's lock, open the journal; say where the record is at the end.

    `choose` is asked under the lock, and names the incident to add to, or None for a new one.
    """
    incidents = target.folders.incidents
    with target_lock(incidents, target.name), Progress() as progress:
        wanted = choose()
        found = (
            find_incident(incidents, target.name, wanted) if wanted else new_incident(incidents, target.name)
        )
        redactor = Redactor(target.secrets())
        journal = Journal(found.folder / "journal.jsonl", redactor.text)
        with journal.step(what):
            yield Session(target, found, Recorder(journal, progress))
    typer.echo(f"incident: {found.folder}")
