"""The walk: every action, killed at every step that its journal has, and the record of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fixtures.engines.factory import open_engine
from fixtures.errors import UsageProblem
from fixtures.files import write_whole
from fixtures.git import head
from rollback_actions.progress import Progress
from staging.kills.kill import Action, Kill, Killer
from staging.kills.wreckage import STORES, wreck_all, wreck_service
from staging.operators import Operators
from staging.stack import Stack

RECORD = "kills.json"
SERVICE = "frontend"


@dataclass
class Walk:
    """What a walk has found so far; `steps` are those of each action, as its journal had them undisturbed."""

    steps: dict[str, list[str]] = field(default_factory=dict)
    kills: list[Kill] = field(default_factory=list)
    finished: bool = False

    @property
    def passed(self) -> bool:
        """Whether it was finished, and every rollback that was killed ended well when it was gone on with."""
        return self.finished and bool(self.kills) and all(kill.passed for kill in self.kills)

    def record(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "passed": self.passed,
            "finished": self.finished,
            "steps": self.steps,
            "kills": [{**asdict(kill), "passed": kill.passed} for kill in self.kills],
        }


def actions(stack: Stack, operators: Operators) -> list[Action]:
    """Return every action: of one service, of each store, of all code, of all."""
    commit = head(stack.state.application)

    def all_of_it() -> None:
        wreck_all(operators)
        wreck_service(stack, SERVICE)

    wreck_frontend = partial(wreck_service, stack, SERVICE)
    return [
        Action("service", ("rollback", "service", SERVICE), wreck_frontend),
        *(
            Action(f"database {name}", ("rollback", "database", name), partial(wreck, operators))
            for name, wreck in STORES.items()
        ),
        Action("full", ("rollback", "full", commit), wreck_frontend),
        Action("emergency", ("rollback", "emergency", commit), all_of_it),
    ]


def walk(
    killer: Killer,
    stack: Stack,
    patterns: Sequence[str],
    choose: Callable[[Sequence[str]], Sequence[str]],
    progress: Progress,
    record: Path,
) -> Walk:
    """Kill every action that `patterns` name at the steps that `choose` picks, and write `record` after each.

    Raises:
        Problem: an action does not end well even when nobody disturbs it.
    """
    found = Walk()
    random = Random(0)  # noqa: S311 - where in a step a kill falls; the same in every walk
    target = killer.target
    with ExitStack() as opened:
        operators = Operators(target, open_engine(target.engine), opened)
        wanted = _chosen(actions(stack, operators), patterns)
        with progress.step("back up, capture a baseline"):
            killer.prepare()
        for action in wanted:
            with progress.step(f"{action.name}, undisturbed") as step:
                seconds = killer.undisturbed(action)
                step.result = f"{len(seconds)} steps"
            found.steps[action.name] = list(seconds)
            for name in choose(list(seconds)):
                with progress.step(f"{action.name}, killed in: {name}") as step:
                    kill = killer.kill(action, name, random.random() * seconds[name])
                    step.result = kill.wrong or "as if it had not been"
                found.kills.append(kill)
                _keep(found, record)
    found.finished = True
    _keep(found, record)
    return found


def of_the_day(steps: Sequence[str]) -> Sequence[str]:
    """Choose one step, another one each day."""
    return [steps[datetime.now(UTC).date().toordinal() % len(steps)]]


def show(found: Walk, console: Console) -> None:
    """Print the table of a walk, and what it comes to."""
    table = Table(title="Kills")
    for name in ("action", "killed in", "after", "under way then", "seconds", "result"):
        table.add_column(name, overflow="fold", justify="right" if name in {"after", "seconds"} else "left")
    for kill in found.kills:
        table.add_row(
            kill.action,
            kill.step,
            f"{kill.after:.2f}",
            ", ".join(kill.open_steps),
            f"{kill.seconds:.1f}",
            "as if it had not been" if kill.passed else f"[bold red]{escape(kill.wrong)}[/]",
        )
    console.print(table)
    well = sum(kill.passed for kill in found.kills)
    console.print(f"{well} of {len(found.kills)} killed rollbacks ended as one that was not", markup=False)


def _chosen(every: Sequence[Action], patterns: Sequence[str]) -> list[Action]:
    wanted = [
        action for action in every if not patterns or any(fnmatchcase(action.name, p) for p in patterns)
    ]
    if not wanted:
        raise UsageProblem(
            what="action",
            expected=f"a pattern for one of {', '.join(action.name for action in every)}",
            observed=", ".join(patterns),
            source="the arguments",
            hint="./run killtest without a name takes all",
        )
    return wanted


def _keep(found: Walk, record: Path) -> None:
    record.parent.mkdir(exist_ok=True)
    text = json.dumps(found.record(), ensure_ascii=False, indent=2)
    write_whole(record, f"{text}\n".encode(), mode=0o644)
