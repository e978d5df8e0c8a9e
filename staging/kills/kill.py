"""One kill: a rollback that is killed at a step, gone on with, and compared with one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from fixtures.engines.factory import open_engine
from fixtures.errors import Problem
from fixtures.files import read_lines
from fixtures.git import head
from fixtures.incident import UNFINISHED
from fixtures.target import PREFIX, Target, load_target
from rollback_actions.journal import verify_journal

PROFILE = Path("targets/staging.toml")
ACTION_SECONDS = 300
POLL_SECONDS = 0.002
# A killed holder leaves the target's lock behind.
TAKE_OVER = "--take-over"


@dataclass(frozen=True, slots=True)
class Action:
    """A rollback: its name, how it is asked for, and how what it puts right is made wrong."""

    name: str
    arguments: tuple[str, ...]
    wreck: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Kill:
    """What came of a kill. `open_steps` were under way when it fell; `wrong` is "" when all was well."""

    action: str
    step: str
    after: float
    open_steps: tuple[str, ...]
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
        kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        folders = {
            f"{PREFIX}FOLDERS__{name.upper()}": str(self.folder / name)
            for name in ("baselines", "incidents", "backups")
        }
        whole = {**kept, **folders, f"{PREFIX}TARGET": str(PROFILE), f"{PREFIX}HOLD_SECONDS": "0"}
        object.__setattr__(self, "environment", whole)

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

    def undisturbed(self, action: Action) -> dict[str, float]:
        """Do `action` without a kill; return its steps, as they began, each with its seconds.

        Raises:
            Problem: it did not end well, or the stack is not as it was then.
        """
        action.wreck()
        before = self._incidents()
        self._expect(action.name, self.run(*action.arguments, TAKE_OVER))
        (incident,) = self._incidents() - before
        if wrong := self._wrong(incident):
            raise _problem(action.name, wrong)
        records = verify_journal(incident / "journal.jsonl")
        ended = {record["step"]: record["seconds"] for record in records if record["event"] == "ended"}
        steps = [record["step"] for record in records if record["event"] == "started"]
        # The first is the command itself, which every other is a part of.
        return {step: float(ended[step]) for step in dict.fromkeys(steps[1:])}

    def kill(self, action: Action, step: str, after: float) -> Kill:
        """Kill `action` when `step` has run for `after` seconds, go on with it, and compare.

        Raises:
            Problem: it never began.
        """
        started = time.monotonic()
        action.wreck()
        incident = self._kill(action, step, after)
        under_way = _open_steps(incident)
        wrong = self._go_on(action, incident)
        return Kill(action.name, step, after, under_way, time.monotonic() - started, wrong)

    def _kill(self, action: Action, step: str, after: float) -> Path:
        """Do `action` and kill it; return its incident's folder."""
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
                self._wait_for(process, before, step)
                time.sleep(after)
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait(ACTION_SECONDS)
            begun = self._incidents() - before
            if not begun:
                raise _problem(action.name, f"it ended before it began: {_last(said)}")
        (incident,) = begun
        return incident

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the actions to its end."""
        return subprocess.run(
            [sys.executable, "-m", "rollback_actions", *arguments],
            cwd=self.root,
            env=dict(self.environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=ACTION_SECONDS,
            stdin=subprocess.DEVNULL,
        )

    def _go_on(self, action: Action, incident: Path) -> str:
        """Go on with what was killed, as an operator would; return what is wrong after it."""
        if (incident / UNFINISHED).exists():
            done = self.run("rollback", "resume", TAKE_OVER)
        elif not (incident / "rollback.json").exists():
            # It was killed before anything had changed: there is nothing to go on with.
            done = self.run(*action.arguments, f"--incident={incident.name}", TAKE_OVER)
        else:
            return self._wrong(incident)
        return _words(done) if done.returncode else self._wrong(incident)

    def _wrong(self, incident: Path) -> str:
        """Return how the stack, or the record, is not as after a rollback that was not disturbed."""
        record = json.loads((incident / "rollback.json").read_text(encoding="utf-8"))
        if record["verdict"] != "passed" or (record["records"] or {}).get("unaccounted"):
            return f"rollback {record['verdict']}, records {record['records']}"
        if (incident / UNFINISHED).exists():
            return "the incident is unfinished"
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

    def _wait_for(self, process: subprocess.Popen[bytes], before: set[Path], step: str) -> None:
        give_up = time.monotonic() + ACTION_SECONDS
        while time.monotonic() < give_up and process.poll() is None:
            for incident in self._incidents() - before:
                records = read_lines(incident / "journal.jsonl")
                if any(record["event"] == "started" and record["step"] == step for record in records):
                    return
            time.sleep(POLL_SECONDS)

    def _incidents(self) -> set[Path]:
        folder = self.folder / "incidents"
        return {path.parent for path in folder.glob("*-staging-*/incident.json")}

    def _expect(self, what: str, done: subprocess.CompletedProcess[str]) -> None:
        if done.returncode:
            raise _problem(what, _words(done))


def _open_steps(incident: Path) -> tuple[str, ...]:
    """Return the steps that had begun and not ended, but for the command that they are parts of."""
    under_way: list[str] = []
    for record in verify_journal(incident / "journal.jsonl"):
        match record["event"]:
            case "started":
                under_way.append(record["step"])
            case "ended" | "failed":
                under_way.remove(record["step"])
            case _:
                pass
    return tuple(under_way[1:])


def _last(said: IO[bytes]) -> str:
    said.seek(0)
    return " | ".join(said.read().decode(errors="replace").splitlines()[-12:])


def _words(done: subprocess.CompletedProcess[str]) -> str:
    last = " | ".join([*done.stdout.splitlines(), *done.stderr.splitlines()][-12:])
    return f"exit code {done.returncode}: {last}"


def _problem(what: str, observed: str) -> Problem:
    return Problem(
        what=what,
        expected="a rollback after which the stack is as it was",
        observed=observed,
        source="the staging stack",
        hint="run it by hand on a stack that is up: ./run up",
    )
