"""The rehearsal: a bad migration of a real stack is rolled back, verified and recorded."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from reports.terminal.progress import Progress
from reports.tools.node import find_allure
from rollback_actions.gate.rehearsal import Rehearsal as Rehearsed
from rollback_actions.session.journal import Journal
from rollback_actions.session.lock import open_lock
from rollback_actions.session.session import Recorder
from rollproof.errors import ActionFailed
from rollproof.incident.incident import Incident, new_incident
from rollproof.incident.journal_steps import Step
from rollproof.planning.unfinished import unfinished_of
from rollproof.profile.profile import Target, load_target
from rollproof.record_names import JOURNAL
from rollproof.sealing.seal import sealed
from rollproof.system.command import end_group
from rollproof.verdict import Verdict
from staging.processes import run
from staging.rehearsal.live_users import LiveUsers, Visit
from staging.rehearsal.staging_team import team_channel, write_change_document
from staging.releases.deployment import bring_up_application
from staging.releases.release_repository import Releases
from staging.stack.shape import Shape
from staging.stack.stack import Stack

COMMAND_SECONDS = 60
MONITOR_END_SECONDS = 20
# A rehearsal takes a third of it.
USERS_SECONDS = 1200.0
ENGINEER = "rehearsal"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One rehearsal on a stack whose stores are up and empty."""

    stack: Stack
    progress: Progress

    def run(self, scale: float) -> tuple[Incident, Verdict]:
        """Run the whole rehearsal; return the incident and its verdict.

        Raises:
            Problem: a step failed; the stack is left as it is, for the caller to take down.
        """
        with self.progress.step("find what renders the report"):
            find_allure(self.progress.say)
        releases = bring_up_application(self.stack, self.progress, scale)
        profile = self.stack.profile
        target = load_target(profile)
        write_off_rollbacks(target, self.progress.say)
        users = LiveUsers(str(target.application.url))
        incident = new_incident(target.folders.incidents, target.name)
        journal = Journal(incident.folder / JOURNAL, target.redactor().text)
        with (
            sealed(incident.folder, target.signing, "rehearsal", self.progress.say),
            self._users(users),
            self._monitor(),
            team_channel(self.stack.slot.channel_port),
            open_lock(target, "rehearsal") as lock,
        ):
            steps = Recorder(journal, self.progress, lock.require)
            self._tell_the_team(releases, steps)
            outcome = Rehearsed(target, profile, releases.release2, incident, steps).run()
        self._require_damage(outcome.checks, users)
        return incident, outcome.rolled_back

    @contextmanager
    def _users(self, users: LiveUsers) -> Iterator[None]:
        """Have live users during the block where the stack is a stranger's; say how it went for them."""
        if self.stack.shape is not Shape.STRANGER:
            yield
            return
        with users.running(USERS_SECONDS):
            yield
        said = [
            f"{name} {dict(Counter(found))}" for name, found in (("new", users.visits), ("old", users.old))
        ]
        self.progress.say(f"visits of live users: {'; '.join(said)}")

    def _require_damage(self, migrated: Verdict, users: LiveUsers) -> None:
        """Require that the migration did damage: a rollback without any to undo would prove nothing.

        A stranger's release 2 breaks old conversations alone, and they must go on after the rollback.
        """
        seen = migrated is Verdict.FAILED or Visit.BROKEN in users.old
        if not seen or users.old[-1:] == [Visit.BROKEN]:
            raise ActionFailed(
                what="damage of the migration",
                expected="seen by the checks or by users, and gone after the rollback",
                observed=f"{migrated} checks; the old conversation: {', '.join(users.old) or 'no user'}",
                source="phases 2 and 3, and the live users",
                hint="the migration of release 2 must do damage that can be seen",
            )

    def _tell_the_team(self, releases: Releases, steps: Recorder) -> None:
        with steps(Step.TELL_TEAM):
            document = self.stack.state.folder / "change.md"
            write_change_document(document, releases.release2, releases.release1)
            self._command("notify", releases.release2)
            self._command("acknowledge", releases.release2, "--as", ENGINEER)

    def _command(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "rollproof", *arguments, f"--target={self.stack.profile}"]
        hint = f"run it by hand: {' '.join(command[1:])}"
        run(command, seconds=COMMAND_SECONDS, hint=hint, folder=self.stack.root)

    @contextmanager
    def _monitor(self) -> Iterator[None]:
        """Monitor the target with the runbook's own command during the block."""
        log = self.stack.state.folder / "monitor.log"
        with log.open("w", encoding="utf-8") as output:
            monitor = subprocess.Popen(
                [
                    str(self.stack.root / "deploy" / "scripts" / "monitor_migration.sh"),
                    f"--target={self.stack.profile}",
                ],
                cwd=self.stack.root,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                yield
            finally:
                end_group(monitor, grace=MONITOR_END_SECONDS)


def write_off_rollbacks(target: Target, say: Callable[[str], None]) -> None:
    """Write off the unfinished rollbacks of an earlier stack; this one is new.

    The data that they restored in part is gone with that stack. Otherwise they would keep the gate closed,
    and a resume would restore the old stack's data into this one.

    Raises:
        UsageProblem: a rollback's record cannot be read.
    """
    for unfinished in unfinished_of(target.folders.incidents, target.name):
        unfinished.give_up(why="the stack that it was of is gone")
        say(f"the rollback of incident {unfinished.incident.id} is written off: its stack is gone")
