"""A rehearsal: a migration of a staging target, deployed, checked, rolled back and verified, on record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rollback_actions import check_run
from rollback_actions.backup.whole_backup import back_up
from rollback_actions.containers.compose import ComposeControl
from rollback_actions.outside import Outside
from rollback_actions.rollback.checkout import check_out
from rollback_actions.rollback.engine import roll_back
from rollback_actions.session.session import Recorder
from rollproof.doctor.every_need import require_capturable
from rollproof.engines.engine import Container, ContainerEngine
from rollproof.errors import ActionFailed, ExitCode, Problem, UsageProblem, listed
from rollproof.git.repository import head, resolve_commit, save_commit
from rollproof.home import typed
from rollproof.incident.incident import Incident
from rollproof.incident.journal import Step
from rollproof.incident.rehearsals import BEGAN, ENDED
from rollproof.incident.samples import samples_kept
from rollproof.incident.tally import tally
from rollproof.migrations.effects import Effects, baseline_of_migrated, effects_of
from rollproof.observation.capture import capture
from rollproof.planning.plan import plan_emergency, plan_full
from rollproof.profile.profile import Target
from rollproof.sealing.seal import seal_state
from rollproof.system.command import Deadline, run_command
from rollproof.verdict import Verdict, verdict_of

# Step 5 is left out: it asks for this rehearsal.
_GATE = "step1 or step2 or step3 or step4"
_MIGRATED = "phase2 or phase3"
_FUNCTIONS = "phase3"
_RESTARTED = "phase1 or phase2 or phase4"
_COMMIT = "{commit}"


@dataclass(frozen=True, slots=True)
class RehearsalOutcome:
    """The results of a rehearsal.

    `checks` are those of the migrated target, `effects` its differences from before, `old_code` is phase 3
    with the code of before on the migrated data, `rolled_back` the verification of the rollback.
    """

    checks: Verdict
    effects: Effects
    old_code: Verdict
    rolled_back: Verdict

    @property
    def verdicts(self) -> frozenset[Verdict]:
        """All verdicts."""
        return frozenset({self.checks, self.effects.verdict, self.old_code, self.rolled_back})


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One rehearsal of the migration to the commit `migration`, a full id, in `incident`."""

    target: Target
    profile: Path
    migration: str
    incident: Incident
    steps: Recorder
    engine: ContainerEngine
    control: ComposeControl
    outside: Outside = field(default_factory=Outside)

    def run(self) -> RehearsalOutcome:
        """Run the whole rehearsal."""
        known_good = self.prepare()
        self.pass_gate()
        try:
            checks, effects = self.migrate()
            old_code = self._try_old_code(known_good, checks)
        finally:
            # Whatever the migration did or failed to do, the target must leave it.
            self._roll_back(known_good)
        return self.end(checks, effects, old_code, self._verify())

    def prepare(self) -> str:
        """Capture, back up and save the commit before the migration; return that, the known-good commit."""
        target = self.target
        known_good = head(target.application.repository)
        self.steps.record(BEGAN, migration=self.migration, known_good=known_good)
        # In this order: what users write between the two is in the backup, and not missed by the baseline.
        capture(target, self.steps, require_capturable, self.engine)
        back_up(target, known_good, self.engine, self.control, self.steps, self.outside)
        with self.steps(Step.SAVE_COMMIT) as step:
            named = target.premigration.state.commit_file
            commit, file = save_commit(named, target.name, target.application.repository)
            step.result = f"{commit}, in {file}"
        return known_good

    def pass_gate(self) -> None:
        """Require that every item of the gate holds, except for the one that asks for this rehearsal.

        Raises:
            ActionFailed: one does not.
        """
        with self.steps(Step.PASS_GATE) as step:
            code = self._checks(_GATE, f"--migration={self.migration}")
            if code is not ExitCode.VERIFIED:
                raise ActionFailed(
                    what="gate before the migration",
                    expected="every item of steps 1 to 4 to hold",
                    observed=f"exit code {code:d}",
                    source=typed("verify premigration"),
                    hint="its page says which do not hold: gate.md in the record of the change",
                )
            step.result = "every item holds"

    def migrate(self) -> tuple[Verdict, Effects]:
        """Migrate; return the verdict of the checks of the migrated target, and its effects."""
        before = self.engine.containers()
        deployed = self._deployed(before)
        effects = self._compare()
        checks = self._check("migrated", _MIGRATED, Step.CHECK_MIGRATED) if deployed else Verdict.FAILED
        return checks, effects

    def end(
        self, checks: Verdict, effects: Effects, old_code: Verdict, rolled_back: Verdict
    ) -> RehearsalOutcome:
        """Check a verified rollback after a restart too; record how the rehearsal went."""
        if rolled_back is Verdict.PASSED:
            rolled_back = self._check_restarted()
        outcome = RehearsalOutcome(checks, effects, old_code, rolled_back)
        self.steps.record(
            ENDED,
            migration=self.migration,
            migrated=checks,
            old_code=old_code,
            rolled_back=rolled_back,
            **asdict(effects),
        )
        return outcome

    def _deployed(self, before: Mapping[str, tuple[Container, ...]]) -> bool:
        try:
            self._deploy()
        except Problem as problem:
            self.steps.note(f"the migration failed: {problem.summary}")
            return False
        with self.steps(Step.SEE_MIGRATED) as step:
            wrong = self._not_migrated(before)
            step.result = f"not so: {listed(wrong)}" if wrong else "every service of the application"
        return not wrong

    def _compare(self) -> Effects:
        with self.steps(Step.COMPARE_MIGRATED) as step:
            effects = effects_of(self.target, self.engine, open_reader=self.outside.open_reader)
            step.result = effects.summary
        for text in (*effects.lost, *effects.altered, *effects.unknown):
            self.steps.note(text)
        return effects

    def _check(self, name: str, markers: str, id_: Step) -> Verdict:
        """Run checks in an incident of their own, against the baseline restated for the migrated target."""
        with self.steps(id_) as step:
            record = f"{self.incident.id}-{name}"
            baseline = baseline_of_migrated(self.target, self.engine, self.outside.open_reader)
            options = (f"--incident={record}", f"--baseline={baseline}", "--no-gate")
            code = self._checks(markers, *options, quiet=True)
            step.result = f"exit code {code:d}; see {record}"
        return verdict_of(code)

    def _try_old_code(self, known_good: str, checks: Verdict) -> Verdict:
        """Put the code and images of before on the migrated data, and run phase 3."""
        if checks is not Verdict.PASSED:
            self.steps.note("the old code is not tried: the migrated target itself is not well")
            return Verdict.BROKEN
        target, control = self.target, self.control
        plan = plan_full(target, known_good, left=self.migration)
        limit = Deadline(target.premigration.rehearsal.deploy_seconds)
        running = {name: image for name, image in plan.images.items() if name not in plan.completing}
        try:
            control.stop(running, deadline=limit.remaining)
            check_out(target.application.repository, known_good)
            for images, completes in ((plan.completing, True), (running, False)):
                if images:
                    control.recreate(
                        images,
                        files=target.engine.files,
                        deadline=limit.remaining,
                        replicas=plan.baseline.facts.replicas(images),
                        completes=completes,
                    )
        except Problem as problem:
            self.steps.note(f"the old code does not start: {problem.summary}")
            return Verdict.FAILED
        return self._check("old-code", _FUNCTIONS, Step.TRY_OLD_CODE)

    def _not_migrated(self, before: Mapping[str, tuple[Container, ...]]) -> list[str]:
        """Return the application's services that run another commit, or do not run.

        Images without a label do not tell: one of them at least must be another than `before`, since a commit
        need not change each.
        """
        found = self.engine.containers()
        wrong: list[str] = []
        unlabelled: list[str] = []
        for service in self.target.application.services:
            commits = {container.revision for container in found.get(service, ())}
            if commits == {None}:
                unlabelled.append(service)
            elif commits != {self.migration}:
                wrong.append(f"{service} ({listed([*map(str, commits)]) or 'no container'})")
        if unlabelled and all(_images(before, service) == _images(found, service) for service in unlabelled):
            wrong.append(f"{listed(unlabelled)} (the images of before, without a label)")
        return wrong

    def _deploy(self) -> None:
        limit = Deadline(self.target.premigration.rehearsal.deploy_seconds)
        for command in self.target.premigration.rehearsal.deploy:
            words = [word.replace(_COMMIT, self.migration) for word in command]
            with self.steps(Step.DEPLOY, f"{self.migration[:12]}: {Path(words[0]).name}"):
                program = _from(self.profile.resolve().parent, words)
                run_command(program, what=f"deployment: {words[0]}", deadline=limit)

    def _roll_back(self, known_good: str) -> None:
        plan = plan_emergency(self.target, known_good, left=self.migration)
        with samples_kept(self.target, self.incident):
            roll_back(self.target, plan, self.incident, self.engine, self.control, self.steps, self.outside)

    def _verify(self) -> Verdict:
        with self.steps(Step.VERIFY) as step:
            code = self._checks("verification", f"--incident={self.incident.id}")
            step.result = f"exit code {code:d}"
        wrong = seal_state(self.incident.folder, self.target.signing).evidence
        verdict = tally(self.incident, self.target.windows, wrong).verdict
        # Only the exit code shows failures outside the checks, such as a secret in the record.
        return Verdict.FAILED if code and verdict is Verdict.PASSED else verdict

    def _check_restarted(self) -> Verdict:
        """Restart every service, and check again: what was in memory alone, or another way on disk, shows."""
        record = f"{self.incident.id}-restarted"
        with self.steps(Step.RESTART) as step:
            try:
                restart(self.target, self.engine, self.control)
            except Problem as problem:
                step.result = f"not up again: {problem.summary}"
                return Verdict.FAILED
            code = self._checks(_RESTARTED, f"--incident={record}", "--no-gate", quiet=True)
            step.result = f"exit code {code:d}; see {record}"
        return verdict_of(code)

    def _checks(self, markers: str, *options: str, quiet: bool = False) -> ExitCode:
        return check_run.run_checks(self.target, self.profile, markers, *options, quiet=quiet)


def restart(target: Target, engine: ContainerEngine, control: ComposeControl) -> None:
    """Stop every service that runs, the writers first; start each again as it is, the application last.

    Raises:
        Problem: a service does not come up again.
    """
    limit = Deadline(target.premigration.rehearsal.deploy_seconds)
    containers = engine.containers()
    running = [name for name, found in containers.items() if any(one.running for one in found)]
    application = [name for name in target.application.services if name in running]
    stored = [name for store in target.stores.values() for name in store.services if name in running]
    # What belongs to no store, such as what one keeps its metadata in, comes before the stores.
    first = [name for name in running if name not in {*application, *stored}]
    # Writers first, so that they end what they are answering: a request that is cut off may have written to
    # one store of two.
    writers = [name for name in application if name in target.application.writers]
    others = [name for name in application if name not in writers]
    for services in (writers, others, [*stored, *first]):
        control.stop(services, deadline=limit.remaining)
    control.start([*first, *stored], deadline=limit.remaining)
    control.start(application, deadline=limit.remaining)


def require_rehearsable(target: Target, migration: str) -> str:
    """Return the full id of the commit `migration`, which can be rehearsed on `target`."""
    if target.protected or not target.premigration.rehearsal.deploy:
        raise UsageProblem(
            what=f"rehearsal on {target.name}",
            expected="a staging target: not protected, with commands in premigration.rehearsal.deploy",
            observed="a protected target" if target.protected else "no command to deploy with",
            source="the profile",
            hint="name the profile of a staging target: --target=…",
        )
    return resolve_commit(target.application.repository, migration)


def _images(containers: Mapping[str, tuple[Container, ...]], service: str) -> set[str]:
    return {container.image_id for container in containers.get(service, ())}


def _from(folder: Path, words: Sequence[str]) -> list[str]:
    """Return a command whose program, if it is a path, is taken from `folder`."""
    return [str(folder / words[0]) if "/" in words[0] else words[0], *words[1:]]
