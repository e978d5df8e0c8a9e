"""Trials: phase 4 against the real stack, with a fault and without one."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rollproof.engines.factory import open_engine
from rollproof.errors import Problem
from rollproof.incident.ledger import runs
from rollproof.verdict import Verdict
from staging.faults import kafka_faults, redis_faults
from staging.faults.fault import Fault
from staging.machine.processes import Done, finish
from staging.stack.stack import Stack
from staging.target.action_runs import UNHURRIED, apart, run_action, unhurried
from staging.target.operators import Operators

CHECKS_SECONDS = 300
CAPTURE_SECONDS = 300
OUTPUT_LINES = 15
# The profile's settings for the faults' own records: a pattern, a topic, a group. Redis is compared in full,
# but only database 0: in the other, tasks expire after an hour, which is no fault.
SETTINGS = {
    "STORES__REDIS__DATABASES": "[0]",
    "STORES__REDIS__PATTERNS": json.dumps([redis_faults.KEYS]),
    "STORES__REDIS__POLICY": json.dumps({"*": "exact"}),
    "STORES__KAFKA__TOPICS": json.dumps(["task_generation", "faults_*"]),
    "STORES__KAFKA__GROUPS": json.dumps(["task_consumer_group", kafka_faults.GROUP]),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run of phase 4: its count of ended checks, the red checks' reasons by name, and its seconds.

    `notes` are the checks' notes by name, for example that time did not suffice to read a whole collection.
    """

    checks: int
    red: Mapping[str, str]
    seconds: float
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trial:
    """A fault's result: `reason` is the message of the check that had to catch it, "" if it did not.

    `problem` says why the fault could not be injected, checked or undone, "" if it could. `notes` are the
    notes of that check.
    """

    fault: Fault
    reason: str
    also: tuple[str, ...]
    seconds: float
    problem: str = ""
    notes: tuple[str, ...] = ()

    @property
    def caught(self) -> bool:
        """Whether the expected check was red, and the fault was undone."""
        return bool(self.reason) and not self.problem


@dataclass(frozen=True)
class Trials:
    """Runs trials of `stack`; their baselines and incidents lie in `folder`, apart from the user's."""

    stack: Stack
    folder: Path
    environment: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Build the commands' environment: this process's, with other folders and `SETTINGS`."""
        object.__setattr__(
            self, "environment", apart(self.stack.profile, self.folder, **SETTINGS, **UNHURRIED)
        )

    @contextmanager
    def operators(self) -> Iterator[Operators]:
        """Give the operators' hands on the stack."""
        target = unhurried(self.stack.profile)
        with ExitStack() as opened:
            yield Operators(target, open_engine(target.engine), opened)

    def capture(self) -> None:
        """Capture a baseline.

        Raises:
            Problem: the baseline cannot be captured.
        """
        done = run_action(self.stack.root, self.environment, "capture", seconds=CAPTURE_SECONDS)
        if done.returncode:
            raise _failed("capture of a baseline", "exit code 0", done)

    def verify(self, *options: str) -> Outcome:
        """Run phase 4.

        Raises:
            Problem: no check ran, or pytest itself failed.
        """
        incident = f"faults-{uuid.uuid4().hex[:12]}"
        command = [sys.executable, "-m", "pytest", "-m", "phase4", "--no-gate", "-q", "--tb=line"]
        started = time.monotonic()
        done = finish(
            [*command, f"--incident={incident}", *options],
            seconds=CHECKS_SECONDS,
            hint="look at the stack: docker ps",
            folder=self.stack.root,
            environment=self.environment,
        )
        seconds = time.monotonic() - started
        found = runs(self.folder / "incidents" / incident)
        results = found[-1].results() if found else {}
        planned = {check for stage in (found[-1].plan() if found else {}).values() for check in stage.checks}
        red = {
            check.rpartition("::")[2]: f"{result.verdict}: {result.reason}"
            for check, result in results.items()
            if result.verdict is not Verdict.PASSED
        }
        red |= {check.rpartition("::")[2]: "broken: it did not run" for check in planned - results.keys()}
        if not results or done.returncode not in ({0} if not red else {1, 3}):
            raise _failed("phase 4", "results that the exit code says", done)
        notes = {
            check.rpartition("::")[2]: tuple(note.text for note in result.notes)
            for check, result in results.items()
            if result.notes
        }
        return Outcome(len(results), red, seconds, notes)

    def alone(self, fault: Fault, operators: Operators) -> Trial:
        """Inject `fault`, run its store's checks (or those of references, which see it), and undo it."""
        started = time.monotonic()
        chosen = "references" if fault.across else fault.store
        outcome, problem = Outcome(0, {}, 0.0), ""
        try:
            with fault.inject(operators):
                outcome = self.verify("-k", chosen)
        except Exception as error:  # noqa: BLE001 - whatever a driver raises: the next fault is another's
            problem = f"{type(error).__name__}: {error}"
        return Trial(
            fault,
            reason=outcome.red.get(fault.caught_by, ""),
            also=tuple(sorted(outcome.red.keys() - {fault.caught_by})),
            seconds=time.monotonic() - started,
            problem=problem,
            notes=outcome.notes.get(fault.caught_by, ()),
        )


def _failed(what: str, expected: str, done: Done) -> Problem:
    last = " | ".join([*done.stdout.splitlines(), *done.stderr.splitlines()][-OUTPUT_LINES:])
    return Problem(
        what=what,
        expected=expected,
        observed=f"exit code {done.returncode}: {last}",
        source="the staging stack",
        hint="run it by hand on a stack that is up: ./run up, then .venv/bin/pytest -m phase4",
    )
