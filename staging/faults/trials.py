"""Trials: phase 4 against the real stack, without a fault and with each."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from reports.terminal.progress import Progress
from rollproof.errors import Problem
from rollproof.incident.ledger import runs
from rollproof.system.side_by_side import Workers
from rollproof.verdict import Verdict
from staging.faults import kafka, redis
from staging.faults.catalogue import planted
from staging.faults.fault import Fault
from staging.processes import finish, tail
from staging.rounds import Result, Round
from staging.stack.stack import Stack
from staging.target.action_runs import UNHURRIED, apart, require_action, unhurried
from staging.target.operators import Operators, operators_of

CHECKS_SECONDS = 300
# The profile's settings for the faults' own records: a pattern, a topic, a group. Redis is compared in full,
# but only database 0: in the other, tasks expire after an hour, which is no fault.
SETTINGS = {
    "STORES__REDIS__DATABASES": "[0]",
    "STORES__REDIS__PATTERNS": json.dumps([redis.KEYS]),
    "STORES__REDIS__POLICY": json.dumps({"*": "exact"}),
    "STORES__KAFKA__TOPICS": json.dumps(["task_generation", "faults_*"]),
    "STORES__KAFKA__GROUPS": json.dumps(["task_consumer_group", kafka.GROUP]),
}
# Number of stores whose faults run side by side. The slowest start first: they mostly wait.
LANES = 3
SLOWEST = ("kafka", "milvus")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run of phase 4: its count of ended checks, the red checks' reasons by name, the checks' notes."""

    checks: int
    red: Mapping[str, str]
    notes: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Trials:
    """Runs of phase 4 on `stack`; their baselines and incidents lie in `folder`, apart from the user's."""

    stack: Stack
    folder: Path
    environment: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Build the commands' environment: this process's, with other folders and `SETTINGS`."""
        environment = apart(self.stack.profile, self.folder, **SETTINGS, **UNHURRIED)
        object.__setattr__(self, "environment", environment)

    @contextmanager
    def operators(self) -> Iterator[Operators]:
        """Give the operators' connections, and records for faults."""
        with operators_of(unhurried(self.stack.profile)) as operators, planted(operators):
            yield operators

    def capture(self) -> None:
        """Capture a baseline."""
        require_action(self.stack.root, self.environment, "capture", hint="./run up, and capture by hand")

    def verify(self, *options: str) -> Outcome:
        """Run phase 4.

        Raises:
            Problem: no check ran, or pytest itself failed.
        """
        incident = f"faults-{uuid.uuid4().hex[:12]}"
        command = [sys.executable, "-m", "pytest", "-m", "phase4", "--no-gate", "-q", "--tb=line"]
        done = finish(
            [*command, f"--incident={incident}", *options],
            seconds=CHECKS_SECONDS,
            hint="look at the stack: docker ps",
            folder=self.stack.root,
            environment=self.environment,
        )
        found = runs(self.folder / "incidents" / incident)
        results = {
            check.rpartition("::")[2]: result
            for check, result in (found[-1].results() if found else {}).items()
        }
        planned = {
            check.rpartition("::")[2]
            for stage in (found[-1].plan() if found else {}).values()
            for check in stage.checks
        }
        red = {
            check: f"{result.verdict}: {result.reason}"
            for check, result in results.items()
            if result.verdict is not Verdict.PASSED
        } | dict.fromkeys(planned - results.keys(), "broken: it did not run")
        if not results or done.returncode not in ({0} if not red else {1, 3}):
            raise Problem(
                what="phase 4",
                expected="results that the exit code says",
                observed=f"exit code {done.returncode}: {tail(done.stdout + done.stderr)}",
                source="the staging stack",
                hint="run it by hand on a stack that is up: ./run up, then .venv/bin/pytest -m phase4",
            )
        return Outcome(
            len(results),
            red,
            {check: [note.text for note in result.notes] for check, result in results.items()},
        )

    def attempt(self, fault: Fault, operators: Operators) -> Result:
        """Inject `fault`, run its store's checks (or those of references, which see it), and undo it."""
        started = time.monotonic()
        outcome, problem = Outcome(0, {}, {}), ""
        try:
            with fault.inject(operators):
                outcome = self.verify("-k", "references" if fault.kind == "references" else fault.store)
        except Exception as error:  # noqa: BLE001 - whatever a driver raises: the next fault is another's
            problem = f"BROKEN: {type(error).__name__}: {error}"
        reason = outcome.red.get(fault.caught_by, "")
        notes = outcome.notes.get(fault.caught_by, [])
        return Result(
            fault.name,
            f"caught by {fault.caught_by}",
            problem or ("" if reason else "; ".join([f"NOT CAUGHT by {fault.caught_by}", *notes])),
            time.monotonic() - started,
            {"reason": reason, "also_red": sorted(outcome.red.keys() - {fault.caught_by})},
        )


def run_faults(
    trials: Trials, faults: Sequence[Fault], clean_runs: int, progress: Progress, found: Round
) -> None:
    """Run phase 4 without a fault, with each fault alone, and without one again.

    Raises:
        Problem: a run without a fault did not end as it must.
    """

    def look(title: str) -> None:
        started = time.monotonic()
        with progress.step(title) as step:
            outcome = trials.verify()
            step.result = f"{outcome.checks} checks, {len(outcome.red)} red"
        found.add(Result(title, step.result, "; ".join(outcome.red), time.monotonic() - started))

    def attempt(fault: Fault) -> None:
        with progress.step(fault.name) as step:
            result = trials.attempt(fault, operators)
            step.result = result.wrong or "caught"
        found.add(result)

    def capture(title: str) -> None:
        with progress.step(title):
            trials.capture()

    with trials.operators() as operators:
        capture("capture a baseline")
        for number in range(1, clean_runs + 1):
            look(f"run {number} of {clean_runs} without a fault")
        _side_by_side([fault for fault in faults if fault.exact and fault.kind != "references"], attempt)
        # Faults that show between stores are injected alone, so that no other fault interferes.
        for fault in faults:
            if fault.kind == "references":
                attempt(fault)
        look("a run after the faults, without one")
        # Only now: a new baseline would accept anything that was not undone.
        for fault in faults:
            if not fault.exact:
                attempt(fault)
                capture(f"capture a baseline of what {fault.name} left")
                look(f"a run after {fault.name}, without a fault")
    found.finish()


def _side_by_side(faults: Sequence[Fault], attempt: Callable[[Fault], None]) -> None:
    """Attempt the faults of each store in turn, and those of several stores at once."""
    lanes: dict[str, list[Fault]] = {store: [] for store in SLOWEST}
    for fault in faults:
        lanes.setdefault(fault.store, []).append(fault)
    with Workers(LANES, "lane") as workers:

        def run(lane: Sequence[Fault]) -> tuple[()]:
            for fault in lane:
                # After Ctrl-C, the running faults are undone, and no more are injected.
                if not workers.stopped.is_set():
                    attempt(fault)
            return ()

        list(workers.merged(run, lanes.values()))
