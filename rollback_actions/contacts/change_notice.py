"""The notice of a planned migration: the team is notified, and an engineer acknowledges it."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from rollback_actions.contacts.contacts import require_channels, require_name
from rollback_actions.contacts.delivery import Delivery, deliver, record
from rollback_actions.session.journal import Journal
from rollback_actions.session.session import sealed_journal
from rollproof.baseline.known_good import current_baseline
from rollproof.errors import Problem, UsageProblem, listed
from rollproof.git.repository import git
from rollproof.home import typed
from rollproof.incident.incident import find_or_create_change
from rollproof.profile.channels import names_of
from rollproof.profile.profile import Target
from rollproof.system.clock import Moment
from rollproof.system.holder import author
from rollproof.team.change import ACKNOWLEDGED, NOTIFIED, change_journal_path, read_change
from rollproof.team.change_document import ChangeDocument, read_document

# A process that notifies the team keeps the journal locked while the channels answer.
_LONGER_SECONDS = 10.0


def notify(
    target: Target, profile: Path, migration: str, when: str | None, say: Callable[[str], None]
) -> dict[str, Delivery]:
    """Notify every channel of the migration to commit `migration`, a full id, and record the deliveries."""
    team = target.premigration.team
    require_channels(team.channels, "the team", "premigration.team.channels")
    document = read_document(target)
    redact = target.redactor().text
    title = f"Migration of {target.name} to {migration[:12]} is planned"
    body = redact(_message(target, profile, migration, document, when))
    channels = dict(zip(names_of(team.channels), team.channels, strict=True))
    with _change_journal(target, migration, say) as journal:
        deliveries = deliver(channels, redact(title), body, team.delivery_seconds)
        details = {"target": target.name, "migration": migration, "document": document.digest}
        record(journal, NOTIFIED, deliveries, body, **details, **author())
    return deliveries


def acknowledge(
    target: Target, migration: str, name: str, source: str | None, say: Callable[[str], None]
) -> None:
    """Record that `name` knows of the migration to commit `migration` and will be there.

    `source` is how `name` said so, such as "a call"; None if by this command.
    """
    on_call = target.premigration.team.on_call
    what, keys = "engineer who acknowledges", "premigration.team.on_call"
    require_name(name, on_call, what=what, keys=keys, hint="name somebody who is on call")
    with _change_journal(target, migration, say) as journal:
        notification = read_change(target, migration).latest
        if notification is None:
            raise UsageProblem(
                what=f"notification of the migration to {migration[:12]}",
                expected="one that was delivered",
                observed="none",
                source=str(journal.path),
                hint=f"notify the team first: {typed(f'notify {migration[:12]}')}",
            )
        journal.write(
            ACKNOWLEDGED,
            target=target.name,
            migration=migration,
            name=name,
            source=source,
            document=notification.document,
            **author(),
        )


def _change_journal(
    target: Target, migration: str, say: Callable[[str], None]
) -> AbstractContextManager[Journal]:
    """Open the journal of the change."""
    find_or_create_change(target.folders.incidents, target.name, migration)
    wait = target.premigration.team.delivery_seconds + _LONGER_SECONDS
    return sealed_journal(target, change_journal_path(target, migration), "change", say, wait)


def _message(
    target: Target, profile: Path, migration: str, document: ChangeDocument, when: str | None
) -> str:
    """Return the text of the notice to the team."""
    subject = git(target.application.repository, "log", "-1", "--format=%s", migration)
    try:
        baseline = current_baseline(target)
        known_good = f"{baseline.facts.commit} (baseline {baseline.id})"
    except Problem as problem:
        known_good = f"none yet: {problem.summary}"
    command = typed(shlex.join(["acknowledge", migration[:12], "--target", str(profile)]))
    return "\n".join(
        [
            f"Target: {target.name}",
            f"Migration: {migration} {subject}",
            f"Known good, to roll back to: {known_good}",
            f"When: {when or 'as soon as the gate passes'}",
            f"Sent: {Moment.now().wall}",
            f"Change document: {document.path} (SHA-256 {document.digest})",
            f"On call: {listed(target.premigration.team.on_call) or 'whoever acknowledges'}",
            f"Acknowledge: {command} --as NAME",
        ]
    )
