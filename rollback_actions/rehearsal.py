"""A rehearsal: a migration of a staging target, deployed, checked, rolled back and verified, on record."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fixtures.command import Deadline, run_command
from fixtures.engines.factory import open_engine
from fixtures.errors import ActionFailed, ExitCode, Problem, UsageProblem, listed
from fixtures.git import head, resolve_commit
from fixtures.incident import Incident
from fixtures.kept_samples import samples_kept
from fixtures.rehearsals import BEGAN, ENDED, VERDICT
from fixtures.tally import tally
from fixtures.target import Target
from fixtures.verdict import Verdict
from rollback_actions.backup import new_backup_folder, take_backup
from rollback_actions.capture import capture
from rollback_actions.check_run import CheckRun
from rollback_actions.compose import ComposeControl
from rollback_actions.index import write_index
from rollback_actions.plan import plan_emergency
from rollback_actions.rollback import roll_back
from rollback_actions.saved_state import save_state
from rollback_actions.steps import Recorder
from rollback_actions.stores.factory import open_keepers

# Step 5 is what a rehearsal is for.
_GATE = "step1 or step2 or step3 or step4"
_MIGRATED = "phase2 or phase3"
_COMMIT = "{commit}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rehearsal came to: the migrated target by its checks, and its rollback as it was verified."""

    migrated: Verdict
    rolled_back: Verdict


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One rehearsal of the migration to the commit `migration`, a full id, in `incident`."""

    target: Target
    profile: Path
    migration: str
    incident: Incident
    steps: Recorder

    def run(self) -> Outcome:
        """Do all of it.

        Raises:
            Problem: a step could not be done. When the migration had begun, its rollback is tried first.
        """
        known_good = head(self.target.application.repository)
        self.steps.record(BEGAN, migration=self.migration, known_good=known_good)
        self._prepare(known_good)
        self._pass_gate()
        try:
            migrated = self._migrate()
        finally:
            # Whatever the migration did, and did not: the target is not left on it.
            self._roll_back(known_good)
        outcome = Outcome(migrated, self._verify())
        self.steps.record(
            ENDED,
            migration=self.migration,
            migrated=outcome.migrated,
            rolled_back=outcome.rolled_back,
            verdict_sha256=self._verdict_sha256(),
        )
        return outcome

    def _verdict_sha256(self) -> str:
        path = self.incident.folder / VERDICT
        try:
            return hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise ActionFailed(
                what="verdict of the rollback",
                expected="written by the checks",
                observed=error.strerror or type(error).__name__,
                source=str(path),
                hint="see what the checks said above",
            ) from None

    def _prepare(self, known_good: str) -> None:
        target, engine = self.target, open_engine(self.target.engine)
        keepers = open_keepers(target, engine, ComposeControl(target.engine))
        folder = new_backup_folder(target.folders.backups, target.name)
        take_backup(
            folder, target.name, known_good, keepers, self.steps, partial(write_index, target, engine)
        )
        capture(target, self.steps)
        with self.steps("save the commit") as step:
            step.result = str(save_state(target))

    def _pass_gate(self) -> None:
        with self.steps("pass the gate, steps 1 to 4") as step:
            code = self._checks(_GATE, f"--migration={self.migration}")
            if code is not ExitCode.VERIFIED:
                raise ActionFailed(
                    what="gate before the migration",
                    expected="every item of steps 1 to 4 to hold",
                    observed=f"exit code {code:d}",
                    source="pytest -m premigration",
                    hint="its page says which do not hold: gate.md in the record of the change",
                )
            step.result = "every item holds"

    def _migrate(self) -> Verdict:
        try:
            self._deploy()
        except Problem as problem:
            self.steps.note(f"the migration failed: {problem.summary}")
            return Verdict.FAILED
        with self.steps("see that the migration is what runs") as step:
            wrong = self._not_migrated()
            step.result = f"not so: {listed(wrong)}" if wrong else "every service of the application"
        if wrong:
            return Verdict.FAILED
        with self.steps("check the migrated target, phases 2 and 3") as step:
            beside = f"{self.incident.id}-migrated"
            code = self._checks(_MIGRATED, f"--incident={beside}", "--no-gate", quiet=True)
            step.result = f"exit code {code:d}; see {beside}"
        return _verdict_of(code)

    def _not_migrated(self) -> list[str]:
        """Return the services of the application that run another commit, or do not run."""
        found = open_engine(self.target.engine).containers()
        return [
            f"{service} ({', '.join(str(c.revision) for c in found.get(service, ())) or 'no container'})"
            for service in self.target.application.services
            if {c.revision for c in found.get(service, ())} != {self.migration}
        ]

    def _deploy(self) -> None:
        limit = Deadline(self.target.premigration.rehearsal.deploy_seconds)
        for command in self.target.premigration.rehearsal.deploy:
            words = [word.replace(_COMMIT, self.migration) for word in command]
            with self.steps(f"deploy {self.migration[:12]}: {Path(words[0]).name}"):
                program = _from(self.profile.resolve().parent, words)
                run_command(program, what=f"deployment: {words[0]}", deadline=limit)

    def _roll_back(self, known_good: str) -> None:
        engine, control = open_engine(self.target.engine), ComposeControl(self.target.engine)
        plan = plan_emergency(self.target, known_good)
        with samples_kept(self.target, self.incident):
            roll_back(self.target, plan, self.incident, engine, control, self.steps)

    def _verify(self) -> Verdict:
        with self.steps("verify the rollback, phases 1 to 4") as step:
            code = self._checks("verification", f"--incident={self.incident.id}")
            step.result = f"exit code {code:d}"
        verdict = tally(self.incident, self.target.windows).verdict
        # What no check says, such as a secret in the record, the exit code does.
        return Verdict.FAILED if code and verdict is Verdict.PASSED else verdict

    def _checks(self, markers: str, *options: str, quiet: bool = False) -> ExitCode:
        return CheckRun.of(self.target, self.profile).run(markers, *options, quiet=quiet)


def require_rehearsable(target: Target, migration: str) -> str:
    """Return the full id of the commit `migration`, which can be rehearsed on `target`.

    Raises:
        UsageProblem: the commit is not there, or the target is not one to rehearse on.
    """
    if target.protected or not target.premigration.rehearsal.deploy:
        raise UsageProblem(
            what=f"rehearsal on {target.name}",
            expected="a staging target: not protected, with commands in premigration.rehearsal.deploy",
            observed="a protected target" if target.protected else "no command to deploy with",
            source="the profile",
            hint="name the profile of a staging target: --target=…",
        )
    return resolve_commit(target.application.repository, migration)


def _from(folder: Path, words: Sequence[str]) -> list[str]:
    """Return a command whose program, where it is a path, is taken from `folder`."""
    return [str(folder / words[0]) if "/" in words[0] else words[0], *words[1:]]


def _verdict_of(code: ExitCode) -> Verdict:
    return {ExitCode.VERIFIED: Verdict.PASSED, ExitCode.FAILED: Verdict.FAILED}.get(code, Verdict.BROKEN)
