"""The rehearsal: a bad migration of a real stack is rolled back, verified and recorded."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Thread
from typing import IO

from reports.terminal.progress import Progress
from reports.tools.node import find_allure
from rollback_actions.containers.control import open_control
from rollback_actions.gate.rehearsal import Rehearsal as Rehearsed
from rollback_actions.session.session import Journal, Recorder, open_lock
from rollproof.engines.engine import open_engine
from rollproof.errors import ActionFailed, ExitCode
from rollproof.incident.incident import Incident, new_incident
from rollproof.incident.journal import Step
from rollproof.incident.rehearsals import WRITES
from rollproof.incident.samples import samples_path
from rollproof.incident.severity import Severity, assess_now, monitored_samples
from rollproof.planning.cut_names import CutNames
from rollproof.planning.unfinished import unfinished_of
from rollproof.profile.profile import PREFIX, Target, load_target
from rollproof.record_names import JOURNAL
from rollproof.sealing.seal import sealed
from rollproof.stores.references import follow
from rollproof.stores.registry import open_reader
from rollproof.system.command import Deadline, end_group
from rollproof.system.side_by_side import Opened
from rollproof.team.contact_flow import assessment_text
from rollproof.team.contact_record import Alert
from rollproof.verdict import Verdict, verdict_of
from staging.processes import LOOK, run
from staging.rehearsal.layra_users import LayraUser
from staging.rehearsal.live_users import LiveUsers, User, Visit, WriteLog
from staging.rehearsal.notebook_users import NotebookUser
from staging.rehearsal.pace import RehearsalPace, Time, Timetable
from staging.rehearsal.staging_team import TeamChannel, team_channel, write_change_document
from staging.rehearsal.users_data import Fates, fates_of
from staging.releases.deployment import bring_up_application
from staging.releases.release_repository import Releases
from staging.stack.shape import Shape
from staging.stack.stack import Stack
from staging.target.operators import operators_of

COMMAND_SECONDS = 120
END_SECONDS = 30
SEEN_SECONDS = 180.0
RESPONSE_SECONDS = 1800.0
ASSESSMENT = (
    "root cause: release 2 changes records that release 1 wrote so that they no longer serve;"
    " a fix is not developed yet; the rollback is verified"
)
INVESTIGATED = "root cause: the {} had stopped; it is started again; no rollback is needed"
# By the runbook's timetable, a rehearsal takes two thirds of it.
USERS_SECONDS = 2.5 * 3600
ENGINEER = "rehearsal"


@dataclass(frozen=True, slots=True)
class StagedRehearsal:
    """One rehearsal on a stack whose stores are up and empty."""

    stack: Stack
    progress: Progress
    pace: RehearsalPace = RehearsalPace.QUICK

    def run(self, scale: float) -> tuple[Incident, Verdict, Fates]:
        """Run the whole rehearsal; return the incident, its verdict, and what became of users' writes.

        Raises:
            Problem: a step failed; the stack is left as it is, for the caller to take down.
        """
        with self.progress.step("find what renders the report"):
            find_allure(self.progress.say)
        releases = bring_up_application(self.stack, self.progress, scale)
        with self.stack.services.entered(), lived_in(self.stack, self.pace):
            return self._rehearse(releases)

    def _rehearse(self, releases: Releases) -> tuple[Incident, Verdict, Fates]:
        profile = self.stack.profile
        target = load_target(profile)
        write_off_rollbacks(target, self.progress.say)
        # Of an earlier stack, too: they would stand at the beginning of this incident's timeline.
        samples_path(target).unlink(missing_ok=True)
        kind = NotebookUser if self.stack.shape.is_notebook else LayraUser
        users, timetable = LiveUsers(str(target.application.url), kind), Timetable(self.pace, self.progress)
        incident = new_incident(target.folders.incidents, target.name)
        with (
            sealed(incident.folder, target.signing, "rehearsal", self.progress.say),
            self._monitor(),
            team_channel(self.stack.slot.channel_port) as channel,
        ):
            with users.running(USERS_SECONDS):
                with self._rehearsed(target, releases, incident) as rehearsed:
                    self._tell_the_team(releases, rehearsed.steps)
                    rehearsed.prepare()
                    self._wait_for_beats(target)
                    rehearsed.pass_gate()
                    timetable.wait_until(Time.MIGRATION)
                    checks, effects = rehearsed.migrate()
                timetable.wait_until(Time.DETECTED)
                self._wait_for(Severity.CRITICAL, target)
                timetable.wait_until(Time.DECISION)
                if self.stack.shape is Shape.STRANGER:
                    verdict = self._go_back_with_the_data(incident, channel, releases.release1)
                else:
                    verdict = self._respond(incident, channel)
                if verdict is Verdict.PASSED:
                    channel.wait_for(Alert.POST_MORTEM, COMMAND_SECONDS)
                self._answer(incident, "--assessment", ASSESSMENT)
                if self.stack.shape is not Shape.STRANGER and verdict is Verdict.PASSED:
                    timetable.wait_until(Time.VERIFIED)
                    self._investigate(target, channel)
                timetable.wait_until(Time.POST_MORTEM)
            # Users have left: a sign-up that meets the restart leaves a user without settings, since the
            # application writes the two one by one.
            self._wait_for_uploads(target, incident)
            # The old code was not tried on the migrated data: users were waiting for the rollback.
            with self._rehearsed(target, releases, incident) as rehearsed:
                outcome = rehearsed.end(checks, effects, Verdict.BROKEN, verdict)
            self._require_damage(checks, users)
            fates = self._hold_writes_against_data(target, users.account, kind, incident)
        self._command("report", incident.id)
        fates.require_none_vanished()
        return incident, outcome.rolled_back, fates

    @contextmanager
    def _rehearsed(self, target: Target, releases: Releases, incident: Incident) -> Iterator[Rehearsed]:
        """Rehearse under the target's lock; the journal continues where the last command has left it."""
        journal = Journal(incident.folder / JOURNAL, target.redactor().text)
        with open_lock(target, "rehearsal") as lock:
            steps = Recorder(journal, self.progress, lock.require)
            yield Rehearsed(
                target,
                self.stack.profile,
                releases.release2,
                incident,
                steps,
                open_engine(target.engine),
                open_control(target.engine),
            )

    def _wait_for_beats(self, target: Target) -> None:
        """Wait until the monitor has taken the samples that the gate asks for; else the gate says so."""
        limit, samples = Deadline(SEEN_SECONDS), target.premigration.monitoring.samples
        while not limit.passed and len(monitored_samples(target)) < samples:
            time.sleep(1.0)

    def _wait_for(self, severity: Severity, target: Target) -> None:
        """Wait until the monitor's samples have that severity; if they never do, the next command says so."""
        limit = Deadline(SEEN_SECONDS)
        with self.progress.step(f"see in the monitor's samples that the target is {severity}") as step:
            found = assess_now(target, monitored_samples(target))
            while found.severity is not severity and not limit.passed:
                time.sleep(1.0)
                found = assess_now(target, monitored_samples(target))
            step.result = assessment_text(found)

    def _wait_for_uploads(self, target: Target, incident: Incident) -> None:
        """Wait until the users' last uploads are in every store: a restart would leave them in some.

        If some never are, the checks after the restart say so. Milvus 2.3.5 may lose at a restart what it has
        not flushed.
        """
        limit, engine, cut = Deadline(SEEN_SECONDS), open_engine(target.engine), CutNames(target, incident)
        with (
            self.progress.step("see every upload in every store"),
            Opened(lambda name: open_reader(name, target.stores[name], engine)) as readers,
        ):
            while not limit.passed and not all(
                follow(reference, readers, cut(reference)).whole for reference in target.references.values()
            ):
                time.sleep(1.0)
        with operators_of(target) as operators:
            if "milvus" in target.stores:
                for collection in operators.milvus.list_collections():
                    operators.milvus.flush(collection, timeout=COMMAND_SECONDS)

    def _respond(self, incident: Incident, channel: TeamChannel) -> Verdict:
        """Respond by the runbook's own command; who is on call answers its alert, and somebody says yes."""
        with self._responding(incident) as response:
            channel.wait_for(Alert.ON_CALL, COMMAND_SECONDS)
            self._answer(incident, "--decision", "roll back")
            _wait_for_end(response, b"y\n")
        return verdict_of(ExitCode(response.returncode))

    def _investigate(self, target: Target, channel: TeamChannel) -> None:
        """Respond to a trouble that is not critical: who is on call ends it while it is investigated.

        Raises:
            ActionFailed: the response ended otherwise than by going on to monitor.
        """
        self._wait_for(Severity.HEALTHY, target)
        stopped = self.stack.shape.dispensable
        with self.progress.step(f"stop the {stopped}"):
            self.stack.services.stop(stopped)
        self._wait_for(Severity.NON_CRITICAL, target)
        incident = new_incident(target.folders.incidents, target.name)
        with self._responding(incident) as response:
            channel.wait_for(Alert.ON_CALL, COMMAND_SECONDS)
            self._answer(incident, "--decision", "investigate")
            self.stack.services.start(stopped)
            _wait_for_end(response)
        if response.returncode != ExitCode.VERIFIED:
            raise ActionFailed(
                what="response to a trouble that is not critical",
                expected="continue monitoring: exit code 0",
                observed=f"exit code {response.returncode}",
                source=str(incident.folder),
                hint=LOOK,
            )
        self._answer(incident, "--assessment", INVESTIGATED.format(stopped))
        self._command("report", incident.id)

    @contextmanager
    def _responding(self, incident: Incident) -> Iterator[subprocess.Popen[bytes]]:
        """Run the runbook's own command of the emergency flow while the block runs."""
        words = ("respond", f"--incident={incident.id}")
        self.progress.say(f"$ rollproof {' '.join(words)}")
        with self._begun(self._words(*words), subprocess.PIPE) as response:
            # Above the progress, which would overwrite what another program prints.
            lines = Thread(target=self._repeat, args=[response.stdout], name="lines of the response")
            lines.start()
            yield response
            lines.join()

    def _repeat(self, lines: IO[bytes]) -> None:
        for line in lines:
            self.progress.say(line.decode(errors="replace").rstrip())

    def _go_back_with_the_data(self, incident: Incident, channel: TeamChannel, known_good: str) -> Verdict:
        """Respond as a person who knows that the migration changed the database: code alone is not enough.

        Its revisions are in a volume, so neither an assessment nor a plan can tell.
        """
        this = f"--incident={incident.id}"
        self._command("contacts", "run", this, "--once", "--severity=every answer breaks off")
        channel.wait_for(Alert.ON_CALL, COMMAND_SECONDS)
        self._answer(incident, "--decision", "roll back")
        self._command("rollback", "emergency", known_good, this, seconds=RESPONSE_SECONDS)
        self._command("verify", "verification", this, seconds=RESPONSE_SECONDS)
        self._command("contacts", "run", this, "--once")
        return Verdict.PASSED

    def _answer(self, incident: Incident, *words: str) -> None:
        self._command("contacts", "answer", incident.id, "--as", ENGINEER, *words)

    def _hold_writes_against_data(
        self, target: Target, account: WriteLog, kind: type[User], incident: Incident
    ) -> Fates:
        with self.progress.step("hold the users' writes against the data"), operators_of(target) as operators:
            fates = fates_of(account, lambda place: kind.held(place, operators), incident.folder)
        Journal(incident.folder / JOURNAL, target.redactor().text).write(WRITES, text=str(fates))
        return fates

    def _require_damage(self, migrated: Verdict, users: LiveUsers) -> None:
        """Require that the migration did damage: a rollback without any to undo would prove nothing.

        A stranger's release 2 breaks every chat, and old conversations must go on after the rollback.
        """
        seen = migrated is Verdict.FAILED or Visit.BROKEN in users.old
        if not seen or users.old[-1:] != [Visit.ANSWERED]:
            raise ActionFailed(
                what="damage of the migration",
                expected="seen by the checks or by users, and gone after the rollback",
                observed=f"{migrated} checks; the old conversation: {', '.join(users.old) or 'no visit'}",
                source="phases 2 and 3, and the live users",
                hint="the migration of release 2 must do damage that can be seen",
            )

    def _tell_the_team(self, releases: Releases, steps: Recorder) -> None:
        with steps(Step.TELL_TEAM):
            document = self.stack.state.folder / "change.md"
            write_change_document(document, releases.release2, releases.release1)
            self._command("notify", releases.release2)
            self._command("acknowledge", releases.release2, "--as", ENGINEER)

    def _command(self, *arguments: str, seconds: float = COMMAND_SECONDS) -> None:
        command = self._words(*arguments)
        shown = " ".join(command[1:])
        with self.progress.step(shlex.join(["rollproof", *arguments])):
            run(command, seconds=seconds, hint=f"run it by hand: {shown}", folder=self.stack.root)

    def _words(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "rollproof", *arguments, f"--target={self.stack.profile}"]

    @contextmanager
    def _monitor(self) -> Iterator[None]:
        """Monitor the target with the runbook's own command during the block."""
        script = self.stack.root / "deploy" / "scripts" / "monitor_migration.sh"
        with (
            (self.stack.state.folder / "monitor.log").open("wb") as output,
            self._begun([str(script), f"--target={self.stack.profile}"], output),
        ):
            yield

    @contextmanager
    def _begun(self, command: Sequence[str], output: IO[bytes] | int) -> Iterator[subprocess.Popen[bytes]]:
        """Run a program while the block runs, and end it after that if it still runs."""
        process = subprocess.Popen(
            command,
            cwd=self.stack.root,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                end_group(process, grace=END_SECONDS)


def _wait_for_end(response: subprocess.Popen[bytes], answer: bytes = b"") -> None:
    """Type the answer, and wait for the end of the response."""
    # A response that has ended already asks for nothing.
    with suppress(BrokenPipeError):
        if response.stdin is not None:
            response.stdin.write(answer)
            response.stdin.close()
    response.wait(RESPONSE_SECONDS)


@contextmanager
def lived_in(stack: Stack, pace: RehearsalPace) -> Iterator[None]:
    """Have a team on call during the block, users who add and change records, and the times of that pace.

    Which records they change is as the stranger's profile says of its stores: the usual one expects that
    nobody writes, and the drills and faults hold it to that. The other profiles say it themselves.
    """
    stranger, usual = (
        tomllib.loads((stack.root / shape.profile).read_text(encoding="utf-8"))["stores"]
        for shape in (Shape.STRANGER, Shape.USUAL)
    )
    if stack.shape is not Shape.USUAL:
        usual = {}
    channels = [{"file": str(stack.state.secrets / "team_channel")}]
    contact = {"names": [ENGINEER], "channels": channels}
    settings: dict[str, object] = {
        "CONTACTS": {"on_call": contact, "tech_lead": contact},
        # A rollback of an earlier stack is no reason to hold back one of this stack.
        "HOLD_SECONDS": 0,
        **pace.settings,
        **{
            f"STORES__{name.upper()}__{key.upper()}": stranger[name][key]
            for name in usual
            for key in ("policy", "touched", "made_by_users")
            if key in stranger[name]
        },
    }
    named = {f"{PREFIX}{name}": json.dumps(value) for name, value in settings.items()}
    os.environ.update(named)
    try:
        yield
    finally:
        for name in named:
            del os.environ[name]


def write_off_rollbacks(target: Target, say: Callable[[str], None]) -> None:
    """Write off the unfinished rollbacks of an earlier stack; this one is new.

    The data that they restored in part is gone with that stack. Otherwise they would keep the gate closed,
    and a resume would restore the old stack's data into this one.

    Raises:
        UsageProblem: a rollback's record cannot be read.
    """
    for unfinished in unfinished_of(target.folders.incidents, target.name):
        unfinished.end()
        say(f"the rollback of incident {unfinished.incident.id} is written off: its stack is gone")
