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
from typing import IO, Any

from rollproof.baseline.folder import Baseline, load_baseline
from rollproof.engines.engine import ContainerEngine
from rollproof.engines.factory import open_engine
from rollproof.errors import Problem
from rollproof.git.repository import head
from rollproof.incident.journal import JournalEvent, verify_journal
from rollproof.incident.journal_steps import RecordedStep, Step, StepId, id_of, steps_in
from rollproof.profile.profile import Target
from rollproof.record_names import INCIDENT, JOURNAL, ROLLBACK, UNFINISHED
from rollproof.system.files import read_lines
from staging.kills.kill_mark import Mark
from staging.kills.rollback_outcome import Expected, Keys, Outcome, judge, read_outcome
from staging.kills.wrong_stores import wrong_stores
from staging.machine.processes import Done
from staging.stack.stack import Stack
from staging.target.action_runs import ACTION_SECONDS, PATIENT, UNHURRIED, apart, run_action, unhurried

WELL_SECONDS = 60.0
LOOK_SECONDS = 1.0
POLL_SECONDS = 0.002
# Number of lines that are kept of a command's output.
WORDS = 12
# A killed holder leaves the target's lock behind.
TAKE_OVER = "--take-over"


@dataclass(frozen=True, slots=True)
class Action:
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
    """A rollback that was not killed: its steps in order, each with its seconds, and its outcome.

    `incident` is its incident's name.
    """

    seconds: Mapping[str, float]
    outcome: Outcome
    incident: str = ""


@dataclass(frozen=True, slots=True)
class Fall:
    """A kill's moment: the exit code of the killed process, and its journal's records then."""

    code: int
    journal: Sequence[Mapping[str, Any]]

    @property
    def open_steps(self) -> tuple[str, ...]:
        """The steps that had begun and not ended; the first is the command, which contains the others."""
        return tuple(_named(step) for step in steps_in(self.journal)[0] if step.end is None)

    @property
    def untouched(self) -> bool:
        """Whether no restore had begun yet."""
        return not any(step.step is Step.RESTORE for step in self._started)

    def wrong(self, step: str) -> str:
        """Return the reason why this is no kill in `step`, "" if it is one."""
        if self.code != -signal.SIGKILL:
            return f"was not killed: it ended by itself with exit code {self.code}"
        if step not in map(str, self._started):
            return f"was not killed in {step}, which was still to begin"
        return "" if self.open_steps else "was not killed: it had ended"

    @property
    def _started(self) -> list[StepId]:
        return [found for step in steps_in(self.journal)[0] if (found := step.id) is not None]


@dataclass(frozen=True, slots=True)
class Kill:
    """A kill's result. `open_steps` were running at the kill; `wrong` is "" if everything was well.

    `code` is the exit code of the killed process.
    `marks` are the records written between kill and resume, each by its store and key.
    """

    action: str
    incident: str
    step: str
    after: float
    code: int
    open_steps: tuple[str, ...]
    marks: tuple[str, ...]
    seconds: float
    wrong: str

    @property
    def passed(self) -> bool:
        """Whether the rollback was resumed, and ended like one that was not killed."""
        return not self.wrong


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

    def prepare(self) -> None:
        """Take a backup and capture a baseline.

        Raises:
            Problem: the backup or the capture failed.
        """
        for command in ("backup", "capture"):
            self._expect(command, self.run(command))

    def undisturbed(self, action: Action) -> Undisturbed:
        """Run `action` without a kill; return its steps and its outcome.

        Raises:
            Problem: the rollback failed, or the stack differs from the baseline.
        """
        written = action.wreck()
        before = self._incidents()
        self._expect(action.name, self.run(*action.arguments, TAKE_OVER))
        (incident,) = self._incidents() - before
        outcome = read_outcome(incident, self.folder / "backups")
        if wrong := judge(outcome, Expected(action.stores, written)) or self._wrong_stack(action.stores):
            raise _problem(action.name, wrong)
        records = verify_journal(incident / JOURNAL)
        # The first step is the command itself, which contains all others.
        _, *steps = steps_in(records)[0]
        seconds = {_named(step): float((step.end or {})["seconds"]) for step in steps}
        return Undisturbed(seconds, outcome, incident.name)

    def kill(self, action: Action, step: str, after: float, undisturbed: Undisturbed) -> Kill:
        """Kill `action` after `step` has run for `after` seconds, resume it, and compare.

        A rollback that ended before the kill shows nothing: it is repeated, and killed sooner.

        Raises:
            Problem: the rollback never began.
        """
        started = time.monotonic()
        for waited in (after, after / 4, 0.0):
            written = action.wreck()
            incident, fall = self._kill(action, step, waited)
            if not (wrong := fall.wrong(step)):
                break
            if failed := self._go_on(action, incident):
                wrong = f"{wrong}; {failed}"
            # A rollback that fails undisturbed must not be repeated until it succeeds by chance.
            if failed or fall.code > 0:
                break
        marks: list[Mark] = []
        if not wrong:
            marks = action.mark() if self._is_left(incident) else []
            expected = Expected(action.stores, written, undisturbed.outcome, fall.untouched, marks)
            wrong = self._go_on(action, incident) or self._wrong(incident, expected)
        return Kill(
            action=action.name,
            incident=incident.name,
            step=step,
            after=waited,
            code=fall.code,
            open_steps=fall.open_steps[1:],
            marks=tuple(f"{mark.store} {mark.key}" for mark in marks),
            seconds=time.monotonic() - started,
            wrong=wrong,
        )

    def _kill(self, action: Action, step: str, after: float) -> tuple[Path, Fall]:
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
                raise _problem(action.name, f"it ended before it began: {_last(said)}")
        (incident,) = begun
        return incident, Fall(code, verify_journal(incident / JOURNAL))

    def run(self, *arguments: str) -> Done:
        """Run a command of the actions to its end."""
        return run_action(self.stack.root, self.environment, *arguments)

    def _is_left(self, incident: Path) -> bool:
        """Return True if the rollback is to be resumed, or to be started again."""
        return (incident / UNFINISHED).exists() or not (incident / ROLLBACK).exists()

    def _go_on(self, action: Action, incident: Path) -> str:
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
        """Return the stack's differences from the baseline; only the records of `stores` are read in full."""
        target, engine = self.target, open_engine(self.target.engine)
        baseline = load_baseline(self.folder / "baselines" / "current", target.name, target.baseline_key)
        if wrong := wrong_stores(target, engine, baseline, stores):
            return wrong
        # On a busy machine, a healthcheck may time out: wait for the next ones.
        give_up = time.monotonic() + WELL_SECONDS
        while (wrong := _wrong_containers(target, engine, baseline)) and time.monotonic() < give_up:
            time.sleep(LOOK_SECONDS)
        return wrong

    def _begins(self, process: subprocess.Popen[bytes], before: set[Path], step: str) -> bool:
        """Wait until `step` begins; return False if the process ends first, or does not begin it in time."""
        give_up = time.monotonic() + ACTION_SECONDS
        while time.monotonic() < give_up and process.poll() is None:
            for incident in self._incidents() - before:
                records = read_lines(incident / JOURNAL)
                if any(
                    record["event"] == JournalEvent.STARTED and str(id_of(record)) == step
                    for record in records
                ):
                    return True
            time.sleep(POLL_SECONDS)
        return False

    def _incidents(self) -> set[Path]:
        folder = self.folder / "incidents"
        return {path.parent for path in folder.glob(f"*-staging-*/{INCIDENT}")}

    def _expect(self, what: str, done: Done) -> None:
        if done.returncode:
            raise _problem(what, _words(done))


def _named(step: RecordedStep) -> str:
    """Return the id of a step, which this version has written, as text."""
    return str(step.id)


def _wrong_containers(target: Target, engine: ContainerEngine, baseline: Baseline) -> str:
    recorded = {container.service: container.image_id for container in baseline.facts.containers}
    for service, found in engine.containers().items():
        for container in found:
            if container.image_id != recorded[service]:
                return f"{service} runs on {container.image_id}"
            if not container.running or not container.healthy:
                return f"{service} is {container.status} {container.health}"
    now = head(target.application.repository)
    return "" if now == baseline.facts.commit else f"the working copy is at {now}"


def _last(said: IO[bytes]) -> str:
    said.seek(0)
    return " | ".join(said.read().decode(errors="replace").splitlines()[-12:])


def _words(done: Done) -> str:
    """Return the head and the tail of a command's output: differences come first, errors last."""
    lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    shown = lines if len(lines) <= WORDS else [*lines[: WORDS // 2], "…", *lines[-WORDS // 2 :]]
    return f"exit code {done.returncode}: {' | '.join(shown)}"


def _problem(what: str, observed: str) -> Problem:
    return Problem(
        what=what,
        expected="a rollback after which the stack is as it was",
        observed=observed,
        source="the staging stack",
        hint="run it by hand on a stack that is up: ./run up",
    )
