"""A round of data faults: clean runs, each fault alone, a clean run at the end, and the record."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reports.terminal.progress import Progress
from rollproof.system.files import write_whole
from rollproof.system.side_by_side import Workers
from staging.faults.fault import Fault
from staging.faults.fault_catalogue import NOT_MADE, planted
from staging.faults.fault_trial import Outcome, Trial, Trials

RECORD = "faults.json"
# Number of stores whose faults run side by side. The slowest start first: they mostly wait.
LANES = 3
SLOWEST = ("kafka", "milvus")


@dataclass
class Round:
    """A round's results so far. `last` are the runs of phase 4 without a fault after the faults."""

    scale: float | None
    clean: list[Outcome] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    last: list[Outcome] = field(default_factory=list)
    finished: bool = False

    @property
    def alarms(self) -> list[str]:
        """The checks that were red without a fault."""
        return [name for outcome in (*self.clean, *self.last) for name in outcome.red]

    @property
    def missed(self) -> list[str]:
        """The faults that were not caught."""
        return [trial.fault.name for trial in self.trials if not trial.caught]

    @property
    def passed(self) -> bool:
        """Whether the round finished, every fault was caught, and no run without a fault was red."""
        return self.finished and bool(self.trials) and not self.missed and not self.alarms

    def record(self) -> dict[str, Any]:
        """Return the round as a JSON object."""
        return {
            "passed": self.passed,
            "finished": self.finished,
            "scale": self.scale,
            "faults": [_trial(trial) for trial in self.trials],
            "missed": self.missed,
            "clean_runs": [_outcome(outcome) for outcome in self.clean],
            "runs_after_faults": [_outcome(outcome) for outcome in self.last],
            "not_made": NOT_MADE,
        }


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "fault": trial.fault.name,
        "store": trial.fault.store,
        "what": trial.fault.what,
        "expected_check": trial.fault.caught_by,
        "caught": trial.caught,
        "reason": trial.reason,
        "also_red": list(trial.also),
        "problem": trial.problem,
        "notes": list(trial.notes),
        "seconds": round(trial.seconds, 1),
    }


def _result(trial: Trial) -> str:
    if trial.problem:
        return f"BROKEN: {trial.problem}"
    if trial.caught:
        return "caught"
    return "; ".join([f"NOT CAUGHT by {trial.fault.caught_by}", *trial.notes])


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {"checks": outcome.checks, "red": dict(outcome.red), "seconds": round(outcome.seconds, 1)}


@contextmanager
def folder_for(root: Path, *, keep: bool) -> Iterator[Path]:
    """Yield a round's own folder for baselines and incidents; with `keep`, leave it in place."""
    parent = root / ".staging" / "faults"
    parent.mkdir(parents=True, exist_ok=True)
    if keep:
        yield Path(tempfile.mkdtemp(dir=parent))
        return
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield Path(folder)


def run_round(
    trials: Trials,
    faults: Sequence[Fault],
    *,
    clean_runs: int,
    scale: float | None,
    progress: Progress,
    record: Path,
) -> Round:
    """Make all runs on a healthy stack, and write `record` after each run.

    The faults' own records are planted before the baseline is captured, and removed at the end.

    Raises:
        Problem: a run failed, or a fault could not be injected or undone.
    """
    found = Round(scale)

    def keep() -> None:
        record.parent.mkdir(exist_ok=True)
        text = json.dumps(found.record(), ensure_ascii=False, indent=2)
        write_whole(record, f"{text}\n".encode(), mode=0o644)

    def look(into: list[Outcome], title: str) -> None:
        with progress.step(title) as step:
            outcome = trials.verify()
            into.append(outcome)
            keep()
            step.result = f"{outcome.checks} checks, {len(outcome.red)} red"

    def attempt(fault: Fault) -> None:
        with progress.step(fault.name) as step:
            trial = trials.alone(fault, operators)
            step.result = _result(trial)
        with recording:
            found.trials.append(trial)
            found.trials.sort(key=lambda each: places[each.fault.name])
            keep()

    recording = Lock()
    places = {fault.name: place for place, fault in enumerate(faults)}
    with ExitStack() as stack:
        operators = stack.enter_context(trials.operators())
        with progress.step("plant what the faults are made in"):
            stack.enter_context(planted(operators))
        with progress.step("capture a baseline"):
            trials.capture()
        for number in range(1, clean_runs + 1):
            look(found.clean, f"run {number} of {clean_runs} without a fault")
        exact = [fault for fault in faults if fault.exact]
        _run_lanes(_lanes(exact), attempt)
        # Faults that show between stores are injected alone, so that no other fault interferes.
        for fault in exact:
            if fault.across:
                attempt(fault)
        look(found.last, "a run after the faults, without one")
        # Only now: a new baseline would accept anything that was not undone.
        for fault in faults:
            if not fault.exact:
                attempt(fault)
                with progress.step(f"capture a baseline of what {fault.name} left"):
                    trials.capture()
                look(found.last, f"a run after {fault.name}, without a fault")
    found.finished = True
    keep()
    return found


def _lanes(faults: Sequence[Fault]) -> list[list[Fault]]:
    """Return each store's faults that its own checks see: different stores' faults run side by side."""
    lanes: dict[str, list[Fault]] = {store: [] for store in SLOWEST}
    for fault in faults:
        if not fault.across:
            lanes.setdefault(fault.store, []).append(fault)
    return [lane for lane in lanes.values() if lane]


def _run_lanes(lanes: Sequence[Sequence[Fault]], attempt: Callable[[Fault], None]) -> None:
    with Workers(LANES, "lane") as workers:

        def run(lane: Sequence[Fault]) -> tuple[()]:
            for fault in lane:
                # After Ctrl-C, the running faults are undone, and no more are injected.
                if not workers.stopped.is_set():
                    attempt(fault)
            return ()

        list(workers.merged(run, lanes))


def show(found: Round, console: Console) -> None:
    """Print a round's table and its summary."""
    table = Table(title="Data faults")
    for name in ("fault", "store", "what", "caught by", "seconds"):
        table.add_column(name, overflow="fold", justify="right" if name == "seconds" else "left")
    for trial in found.trials:
        by = escape(trial.fault.caught_by)
        table.add_row(
            trial.fault.name,
            trial.fault.store,
            trial.fault.what,
            by if trial.caught else f"[bold red]{escape(_result(trial))}[/]",
            f"{trial.seconds:.1f}",
        )
    console.print(table)
    for store, reason in NOT_MADE.items():
        console.print(f"not made, {store}: {reason}", markup=False)
    caught = sum(trial.caught for trial in found.trials)
    console.print(f"{caught} of {len(found.trials)} faults caught", markup=False)
    runs, red = [*found.clean, *found.last], len(found.alarms)
    console.print(f"{len(runs)} runs without a fault, {red} checks red in them", markup=False)
    for name in found.alarms:
        console.print(f"red without a fault: {name}", markup=False)
