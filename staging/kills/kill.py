"""One kill: a rollback that is killed at a step, gone on with, and compared with one that was not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from fixtures.engines.factory import open_engine
from fixtures.errors import Problem
from fixtures.files import read_lines
from fixtures.git import head
from fixtures.incident import ROLLBACK, UNFINISHED
from fixtures.journal import verify_journal
from fixtures.target import Target, load_target
from rollback_actions.rollback import restore_step
from staging.apart import ACTION_SECONDS, PROFILE, apart, run_action
from staging.kills.mark import Mark
from staging.kills.outcome import Expected, Keys, Outcome, judge, read_outcome

POLL_SECONDS = 0.002
# So many lines of what a command said are kept.
WORDS = 12
# A killed holder leaves the target's lock behind.
TAKE_OVER = "--take-over"
RESTORE = restore_step("")


@dataclass(frozen=True, slots=True)
class Action:
    """A rollback: its name, how it is asked for, and how what it puts right is made wrong.

    `stores` are those that it restores. `wreck` returns what it wrote to them, and `mark` writes records to
    those that take one.
    """

    name: str
    arguments: tuple[str, ...]
    wreck: Callable[[], Keys]
    stores: tuple[str, ...] = ()
    mark: Callable[[], list[Mark]] = list


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """A rollback that nobody killed: its steps as they began, each with its seconds, and what it left."""

    seconds: Mapping[str, float]
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Fall:
    """How a kill fell: the exit code of what was killed, and the records of its journal then."""

    code: int
    journal: Sequence[Mapping[str, Any]]

    @property
    def open_steps(self) -> tuple[str, ...]:
        """The steps that had begun and not ended; the first is the command, which the others are parts of."""
        under_way: list[str] = []
        for record in self.journal:
            match record["event"]:
                case "started":
                    under_way.append(record["step"])
                case "ended" | "failed":
                    under_way.remove(record["step"])
                case _:
                    pass
        return tuple(under_way)

    @property
    def untouched(self) -> bool:
        """Whether no restore had begun."""
        return not any(step.startswith(RESTORE) for step in self._started)

    def wrong(self, step: str) -> str:
        """Return why this is no kill in `step`, "" when it is one."""
        if self.code != -signal.SIGKILL:
            return f"was not killed: it ended by itself with exit code {self.code}"
        if step not in self._started:
            return f"was not killed in {step}, which had not begun"
        return "" if self.open_steps else "was not killed: it had ended"

    @property
    def _started(self) -> list[str]:
        return [record["step"] for record in self.journal if record["event"] == "started"]


@dataclass(frozen=True, slots=True)
class Kill:
    """What came of a kill. `open_steps` were under way when it fell; `wrong` is "" when all was well.

    `code` is the exit code of what was killed, and `marks` are the records that were written before it was
    gone on with, each by its store and its key.
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
        """Whether the rollback was gone on with, and ended as one that was not killed."""
        return not self.wrong


@dataclass(frozen=True)
class Killer:
    """Kills rollbacks of the stack in `root`; its baselines, backups and incidents lie in `folder`."""

    root: Path
    folder: Path
    environment: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Make the environment of every command: this one's, with other folders, and no hold time."""
        object.__setattr__(self, "environment", apart(self.folder, HOLD_SECONDS="0"))

    @property
    def target(self) -> Target:
        """The target."""
        return load_target(self.root / PROFILE)

    def prepare(self) -> None:
        """Take a backup and capture a baseline.

        Raises:
            Problem: that could not be done.
        """
        for command in ("backup", "capture"):
            self._expect(command, self.run(command))

    def undisturbed(self, action: Action) -> Undisturbed:
        """Do `action` without a kill; return how that went.

        Raises:
            Problem: it did not end well, or the stack is not as it was then.
        """
        written = action.wreck()
        before = self._incidents()
        self._expect(action.name, self.run(*action.arguments, TAKE_OVER))
        (incident,) = self._incidents() - before
        outcome = read_outcome(incident, self.folder / "backups")
        if wrong := judge(outcome, Expected(action.stores, written)) or self._wrong_stack():
            raise _problem(action.name, wrong)
        records = verify_journal(incident / "journal.jsonl")
        ended = {record["step"]: record["seconds"] for record in records if record["event"] == "ended"}
        steps = [record["step"] for record in records if record["event"] == "started"]
        # The first is the command itself, which every other is a part of.
        return Undisturbed({step: float(ended[step]) for step in dict.fromkeys(steps[1:])}, outcome)

    def kill(self, action: Action, step: str, after: float, undisturbed: Undisturbed) -> Kill:
        """Kill `action` when `step` has run for `after` seconds, go on with it, and compare.

        One that ended before it was killed shows nothing: it is done again, and killed sooner.

        Raises:
            Problem: it never began.
        """
        started = time.monotonic()
        for waited in (after, after / 4, 0.0):
            written = action.wreck()
            incident, fall = self._kill(action, step, waited)
            if not (wrong := fall.wrong(step)):
                break
            if failed := self._go_on(action, incident):
                wrong = f"{wrong}; {failed}"
            # One that fails undisturbed is not to be tried until it does not.
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
        """Do `action` and kill it; return its incident's folder, and how that fell."""
        before = self._incidents()
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "rollback_actions", *action.arguments, TAKE_OVER],
                cwd=self.root,
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
        return incident, Fall(code, verify_journal(incident / "journal.jsonl"))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the actions to its end."""
        return run_action(self.root, self.environment, *arguments)

    def _is_left(self, incident: Path) -> bool:
        """Tell whether there is anything to go on with, or to do for the first time."""
        return (incident / UNFINISHED).exists() or not (incident / ROLLBACK).exists()

    def _go_on(self, action: Action, incident: Path) -> str:
        """Go on with what was killed, as an operator would; return what was wrong with that."""
        if not self._is_left(incident):
            return ""
        if (incident / UNFINISHED).exists():
            done = self.run("rollback", "resume", TAKE_OVER)
        else:
            # It was killed before anything had changed: there is nothing to go on with.
            done = self.run(*action.arguments, f"--incident={incident.name}", TAKE_OVER)
        return _words(done) if done.returncode else ""

    def _wrong(self, incident: Path, expected: Expected) -> str:
        """Return how the record, or the stack, is not as after a rollback that was not disturbed."""
        outcome = read_outcome(incident, self.folder / "backups")
        wrong = judge(outcome, expected)
        for mark in expected.marks:
            # What was written to a store that was not restored any more is there, and rightly so. What was
            # exported as well should have gone with the restore: the comparison finds it.
            if mark.key not in outcome.exported.get(mark.store, frozenset()) and mark.stays():
                mark.remove()
        return wrong or self._wrong_stack()

    def _wrong_stack(self) -> str:
        compared = self.run("compare", str(self.folder / "baselines" / "current"))
        if compared.returncode:
            return _words(compared)
        return self._wrong_containers()

    def _wrong_containers(self) -> str:
        target = self.target
        baseline = json.loads((self.folder / "baselines" / "current" / "containers.json").read_text())
        recorded = {container["service"]: container["image_id"] for container in baseline}
        for service, found in open_engine(target.engine).containers().items():
            for container in found:
                if container.image_id != recorded[service]:
                    return f"{service} runs on {container.image_id}"
                if not container.running or container.health not in {None, "healthy"}:
                    return f"{service} is {container.status} {container.health}"
        release = json.loads((self.folder / "baselines" / "current" / "release.json").read_text())
        now = head(target.application.repository)
        return "" if now == release["commit"] else f"the working copy is at {now}"

    def _begins(self, process: subprocess.Popen[bytes], before: set[Path], step: str) -> bool:
        """Wait until `step` begins; tell whether it does before the process ends."""
        give_up = time.monotonic() + ACTION_SECONDS
        while time.monotonic() < give_up and process.poll() is None:
            for incident in self._incidents() - before:
                records = read_lines(incident / "journal.jsonl")
                if any(record["event"] == "started" and record["step"] == step for record in records):
                    return True
            time.sleep(POLL_SECONDS)
        return False

    def _incidents(self) -> set[Path]:
        folder = self.folder / "incidents"
        return {path.parent for path in folder.glob("*-staging-*/incident.json")}

    def _expect(self, what: str, done: subprocess.CompletedProcess[str]) -> None:
        if done.returncode:
            raise _problem(what, _words(done))


def _last(said: IO[bytes]) -> str:
    said.seek(0)
    return " | ".join(said.read().decode(errors="replace").splitlines()[-12:])


def _words(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a command said: what differs is at the head of a comparison, what failed at the end."""
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
