"""The rehearsal: a bad migration of a real stack, rolled back and verified, and the record of it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from functools import partial

from fixtures.engines.factory import open_engine
from fixtures.errors import ActionFailed, ExitCode, Problem
from fixtures.incident import Incident, new_incident
from fixtures.redaction import Redactor
from fixtures.tally import tally
from fixtures.target import Target, load_target
from fixtures.verdict import Verdict
from reports.node import find_allure
from rollback_actions.backup import new_backup_folder, take_backup
from rollback_actions.capture import capture
from rollback_actions.compose import ComposeControl
from rollback_actions.index import write_index
from rollback_actions.journal import Journal
from rollback_actions.lock import open_lock
from rollback_actions.plan import plan_emergency
from rollback_actions.progress import Progress
from rollback_actions.rollback import roll_back
from rollback_actions.steps import Recorder
from rollback_actions.stores.factory import open_keepers
from staging.apart import PROFILE
from staging.deployment import Deployment
from staging.stack import Stack

WORKERS = 2
CHECKS_SECONDS = 900
# Counts, schemas and functions show that there is something to roll back; to read every record would tell how
# much, which nobody asks here.
_SEES_DAMAGE = "not collection_content and not golden and not positions and not test_references"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One rehearsal on a stack whose stores are up and empty."""

    stack: Stack
    progress: Progress

    def run(self, scale: float) -> tuple[Incident, Verdict]:
        """Do all of it; return the incident and its verdict.

        Raises:
            Problem: a step could not be done; the stack is left as it is, for the caller to take down.
        """
        with self.progress.step("find what renders the report"):
            find_allure(self.progress.say)
        deployment = bring_up_application(self.stack, self.progress, scale)
        target = load_target(self.stack.root / PROFILE)
        incident = new_incident(target.folders.incidents, target.name)
        journal = Journal(incident.folder / "journal.jsonl", Redactor(target.secrets()).text)
        with open_lock(target, "rehearsal") as lock:
            lock.declare(incident.id)
            steps = Recorder(journal, self.progress, lock.require)
            self._prepare(target, deployment, steps)
            self._migrate(deployment, incident, steps)
            engine, control = open_engine(target.engine), ComposeControl(target.engine)
            plan = plan_emergency(target, deployment.releases.release1)
            roll_back(target, plan, incident, engine, control, steps)
            code = self._verify(incident, steps)
        verdict = tally(incident, target.windows).verdict
        # What no check says, such as a secret in the record, the exit code does.
        return incident, Verdict.FAILED if code and verdict is Verdict.PASSED else verdict

    def _prepare(self, target: Target, deployment: Deployment, steps: Recorder) -> None:
        engine, control = open_engine(target.engine), ComposeControl(target.engine)
        keepers = open_keepers(target, engine, control)
        index = partial(write_index, target, engine)
        folder = new_backup_folder(target.folders.backups, target.name)
        take_backup(folder, target.name, deployment.releases.release1, keepers, steps, index)
        capture(target, steps)

    def _migrate(self, deployment: Deployment, incident: Incident, steps: Recorder) -> None:
        with steps("build release 2"):
            deployment.build(deployment.releases.release2)
        with steps("migrate to release 2") as step:
            step.result = deployment.migrate()
        with steps("start release 2"):
            deployment.start()
        # A rehearsal of a rollback that had nothing to roll back would prove nothing.
        with steps("see that the migration did damage") as step:
            aside = f"{incident.id}-migrated"
            options = ("--no-gate", "-n", str(WORKERS), "-k", _SEES_DAMAGE)
            code = run_checks(self.stack, "phase3 or phase4", aside, *options, capture=True)
            if code is not ExitCode.FAILED:
                raise ActionFailed(
                    what="checks of the migrated stack",
                    expected=f"exit code {ExitCode.FAILED:d}: something is wrong",
                    observed=f"exit code {code:d}",
                    source="phases 3 and 4",
                    hint="the migration of release 2 must do damage that the checks see",
                )
            step.result = f"it did; see incidents/{aside}"

    def _verify(self, incident: Incident, steps: Recorder) -> ExitCode:
        with steps("verify the rollback, phases 1 to 4") as step:
            code = run_checks(self.stack, "verification", incident.id, "-n", str(WORKERS))
            step.result = f"exit code {code:d}"
        return code


def bring_up_application(stack: Stack, progress: Progress, scale: float) -> Deployment:
    """Deploy and seed release 1 on stores that are up and empty."""
    with progress.step("create the application's repository"):
        deployment = Deployment.prepare(stack)
    with progress.step("build release 1"):
        deployment.build(deployment.releases.release1)
    with progress.step("seed the stores") as step:
        step.result = deployment.seed(scale)
    with progress.step("start release 1"):
        deployment.start()
    return deployment


def bring_up_stores(stack: Stack, progress: Progress) -> None:
    """Build what is missing and start the stores."""
    stack.prepare()
    with progress.step("build the stores' images"):
        stack.build(progress.say)
    with progress.step("start the stores"):
        stack.up_stores(progress.say)


def run_checks(stack: Stack, markers: str, incident: str, *options: str, capture: bool = False) -> ExitCode:
    """Run the checks as an operator would, in a process of their own; return its exit code.

    With `capture`, what they print is kept from the terminal.
    """
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        markers,
        f"--target={PROFILE}",
        f"--incident={incident}",
        "--tb=line" if capture else "--tb=short",
        "-q",
        *options,
    ]
    try:
        done = subprocess.run(
            command,
            cwd=stack.root,
            timeout=CHECKS_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if capture else None,
            stderr=subprocess.STDOUT if capture else None,
            text=True,
        )
        return ExitCode(done.returncode)
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise Problem(
            what=f"checks of {markers}",
            expected=f"a known exit code within {CHECKS_SECONDS} s",
            observed=type(error).__name__,
            source="pytest",
            hint=f"run it by hand: {' '.join(command[2:])}",
        ) from None
