"""One kill: a rollback is killed at a step, resumed, and compared with an undisturbed one."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollproof.baseline.folder import load_baseline
from rollproof.engines.engine import open_engine
from rollproof.errors import ActionFailed
from rollproof.git.repository import head
from rollproof.incident.journal import (
    JournalEvent,
    RecordedStep,
    Step,
    id_of,
    read_journal,
    steps_in,
    verify_journal,
)
from rollproof.observation.observation import findings_on
from rollproof.observation.store import StoreReading
from rollproof.profile.profile import Target
from rollproof.record_names import INCIDENT, JOURNAL, ROLLBACK, UNFINISHED
from rollproof.verdict import Verdict
from staging.kills.outcome import Expected, Keys, RollbackOutcome, judge, read_outcome
from staging.kills.wreckage import Mark
from staging.processes import Done, tail
from staging.rounds import RoundResult
from staging.stack.stack import Stack
from staging.target.action_runs import (
    ACTION_SECONDS,
    PATIENT,
    UNHURRIED,
    apart,
    require_action,
    run_action,
    unhurried,
)

WELL_SECONDS = 60.0
LOOK_SECONDS = 1.0
POLL_SECONDS = 0.002
# A killed holder leaves the target's lock behind.
TAKE_OVER = "--take-over"


@dataclass(frozen=True, slots=True)
class KilledRollback:
    """A rollback: its name, its command's arguments, and the damage that it has to undo.

    `stores` are the stores that it restores. `wreck` returns the keys that it wrote to them, and `mark`
    writes records to those stores that accept one.
    """

    name: str
    arguments: tuple[str, ...]
    wreck: Callable[[], Keys]
    stores: tuple[str, ...] = ()
    mark: Callable[[], list[Mark]] = list


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """A rollback that was not killed: the seconds of each step, and its outcome."""

    seconds: Mapping[str, float]
    outcome: RollbackOutcome


@dataclass(frozen=True, slots=True)
class Fall:
    """A kill's moment: the exit code of the killed process, and its journal's records then."""

    code: int
    journal: Sequence[Mapping[str, Any]]

    @property
    def _steps(self) -> list[RecordedStep]:
        return steps_in(self.journal)[0]

    @property
    def open_steps(self) -> tuple[str, ...]:
        """The steps that had begun and not ended; the first is the command, which contains the others."""
        return tuple(str(step.id) for step in self._steps if step.end is None)

    @property
    def untouched(self) -> bool:
        """Whether no restore had begun yet."""
        return not any(step.id is not None and step.id.step is Step.RESTORE for step in self._steps)

    def wrong(self, step: str) -> str:
        """Return the reason why this is no kill in `step`, "" if it is one."""
        if self.code != -signal.SIGKILL:
            return f"was not killed: it ended by itself with exit code {self.code}"
        if step not in {str(begun.id) for begun in self._steps}:
            return f"was not killed in {step}, which was still to begin"
        return "" if self.open_steps else "was not killed: it had ended"


@dataclass(frozen=True)
class Killer:
    """Kills rollbacks of `stack`; their baselines, backups and incidents lie in `folder`."""

    stack: Stack
    folder: Path
    environment: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Build the commands' environment: this process's, with other folders and patient clocks."""
        environment = apart(self.stack.profile, self.folder, **PATIENT, **UNHURRIED)
        object.__setattr__(self, "environment", environment)

    @property
    def target(self) -> Target:
        """The target."""
        return unhurried(self.stack.profile)

    def run(self, *arguments: str) -> Done:
        """Run a command of the actions to its end."""
        return run_action(self.stack.root, self.environment, *arguments)

    def require(self, *arguments: str) -> None:
        """Run a command of the actions, which must succeed."""
        hint = "run it by hand on a stack that is up: ./run up"
        require_action(self.stack.root, self.environment, *arguments, hint=hint)

    def undisturbed(self, action: KilledRollback) -> Undisturbed:
        """Run `action` without a kill; return its steps and its outcome.

        Raises:
            ActionFailed: the rollback failed, or the stack differs from the baseline.
        """
        written = action.wreck()
        before = self._incidents()
        self.require(*action.arguments, TAKE_OVER)
        (incident,) = self._incidents() - before
        outcome = read_outcome(incident, self.folder / "backups")
        if wrong := judge(outcome, Expected(action.stores, written)) or self._wrong_stack(action.stores):
            raise _failed(action, wrong)
        # The first step is the command itself, which contains all others.
        _, *steps = steps_in(verify_journal(incident / JOURNAL))[0]
        seconds = {str(step.id): float((step.end or {})["seconds"]) for step in steps}
        return Undisturbed(seconds, outcome)

    def kill(
        self, action: KilledRollback, step: str, after: float, undisturbed: Undisturbed | None
    ) -> RoundResult:
        """Kill `action` after `step` has run for `after` seconds, resume it, and compare.

        An action that restores no record has nothing to compare with an `undisturbed` one.

        A rollback that ended before the kill shows nothing: it is repeated, and killed sooner.

        Raises:
            ActionFailed: the rollback never began.
        """
        started = time.monotonic()
        for waited in (after, after / 4, 0.0):
            written = action.wreck()
            incident, fall = self._kill(action, step, waited)
            if not (wrong := fall.wrong(step)):
                break
            if failed := self._resume(action, incident):
                wrong = f"{wrong}; {failed}"
            # A rollback that fails undisturbed must not be repeated until it succeeds by chance.
            if failed or fall.code > 0:
                break
        marks: list[Mark] = []
        if not wrong:
            marks = action.mark() if self._is_left(incident) else []
            usual = undisturbed.outcome if undisturbed else None
            expected = Expected(action.stores, written, usual, fall.untouched, marks)
            wrong = self._resume(action, incident) or self._wrong(incident, expected)
        facts = {
            "incident": incident.name,
            "step": step,
            "after": waited,
            "code": fall.code,
            "open_steps": fall.open_steps[1:],
            "marks": [str(mark) for mark in marks],
        }
        seen = f"killed after {waited:.2f} s; ended as if it had not been"
        return RoundResult(
            f"{action.name}, killed in: {step}", seen, wrong, time.monotonic() - started, facts
        )

    def _kill(self, action: KilledRollback, step: str, after: float) -> tuple[Path, Fall]:
        """Run `action` and kill it; return its incident's folder and the kill's moment."""
        before = self._incidents()
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "rollproof", *action.arguments, TAKE_OVER],
                cwd=self.stack.root,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
            try:
                if self._begins(process, before, step):
                    time.sleep(after)
            finally:
                process.send_signal(signal.SIGKILL)
                code = process.wait(ACTION_SECONDS)
            begun = self._incidents() - before
            if not begun:
                said.seek(0)
                output = tail(said.read().decode(errors="replace"))
                raise _failed(action, f"it ended before it began: {output}")
        (incident,) = begun
        return incident, Fall(code, verify_journal(incident / JOURNAL))

    def _begins(self, process: subprocess.Popen[bytes], before: set[Path], step: str) -> bool:
        """Wait until `step` begins; return False if the process ends first, or does not begin it in time."""
        give_up = time.monotonic() + ACTION_SECONDS
        while time.monotonic() < give_up and process.poll() is None:
            for incident in self._incidents() - before:
                begun = (
                    record
                    for record in read_journal(incident / JOURNAL)[0]
                    if record["event"] == JournalEvent.STARTED
                )
                if step in {str(id_of(record)) for record in begun}:
                    return True
            time.sleep(POLL_SECONDS)
        return False

    def _is_left(self, incident: Path) -> bool:
        """Return True if the rollback is to be resumed, or to be started again."""
        return (incident / UNFINISHED).exists() or not (incident / ROLLBACK).exists()

    def _resume(self, action: KilledRollback, incident: Path) -> str:
        """Resume the killed rollback as an operator would; return its error, "" if there is none."""
        if not self._is_left(incident):
            return ""
        if (incident / UNFINISHED).exists():
            done = self.run("rollback", "resume", TAKE_OVER)
        else:
            # It was killed before it changed anything, so there is nothing to resume: run it again.
            done = self.run(*action.arguments, f"--incident={incident.name}", TAKE_OVER)
        return _words(done) if done.returncode else ""

    def _wrong(self, incident: Path, expected: Expected) -> str:
        """Return the differences of the record or the stack from an undisturbed rollback, "" if none."""
        outcome = read_outcome(incident, self.folder / "backups")
        wrong = judge(outcome, expected)
        for mark in expected.marks:
            # A mark in a store that was not restored again is rightly still there. A mark that was also
            # exported should have disappeared with the restore: the comparison finds it.
            if mark.key not in outcome.exported.get(mark.store, frozenset()) and mark.stays():
                mark.remove()
        return wrong or self._wrong_stack(expected.stores)

    def wrong_whole(self) -> str:
        """Return all stores' differences from the baseline, record by record, "" if there are none."""
        compared = self.run("compare", str(self.folder / "baselines" / "current"))
        return _words(compared) if compared.returncode else ""

    def _wrong_stack(self, stores: Sequence[str]) -> str:
        """Return the differences of `stores`, the containers and the code from the baseline."""
        target, engine = self.target, open_engine(self.target.engine)
        baseline = load_baseline(self.folder / "baselines" / "current", target.name, target.baseline_key)
        if stores:
            narrowed = target.model_copy(update={"stores": {name: target.stores[name] for name in stores}})
            found = [
                f"{finding.verdict} {finding.text}"
                for finding in findings_on(StoreReading(narrowed, engine, lambda: baseline))
                if finding.store in stores and finding.verdict is not Verdict.PASSED
            ]
            if found:
                return target.redactor().text("; ".join(found))
        if (now := head(target.application.repository)) != baseline.facts.commit:
            return f"the working copy is at {now}"
        recorded = {container.service: container.image_id for container in baseline.facts.containers}
        # On a busy machine, a healthcheck may time out: wait for the next ones.
        give_up = time.monotonic() + WELL_SECONDS
        while True:
            wrong = [
                f"{service} is {container.status} {container.health} on {container.image_id}"
                for service, found_here in engine.containers().items()
                for container in found_here
                if container.image_id != recorded[service] or not (container.running and container.healthy)
            ]
            if not wrong or time.monotonic() > give_up:
                return "; ".join(wrong)
            time.sleep(LOOK_SECONDS)

    def _incidents(self) -> set[Path]:
        folder = self.folder / "incidents"
        return {path.parent for path in folder.glob(f"*-staging-*/{INCIDENT}")}


def _words(done: Done) -> str:
    """Return the head and the tail of a command's output: differences come first, errors last."""
    lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    shown = lines if len(lines) <= 12 else [*lines[:6], "…", *lines[-6:]]  # noqa: PLR2004 - a page's worth
    return f"exit code {done.returncode}: {' | '.join(shown)}"


def _failed(action: KilledRollback, observed: str) -> ActionFailed:
    return ActionFailed(
        what=action.name,
        expected="a rollback after which the stack is as it was",
        observed=observed,
        source="the staging stack",
        hint="run it by hand on a stack that is up: ./run up",
    )
