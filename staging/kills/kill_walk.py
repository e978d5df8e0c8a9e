"""The walk: every action is killed at every step of its journal, and the results are recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reports.terminal.progress import Progress
from rollproof.engines.factory import open_engine
from rollproof.errors import UsageProblem
from rollproof.git.repository import head
from rollproof.system.files import write_whole
from staging.kills.kill import Action, Kill, Killer
from staging.kills.kill_mark import write_marks
from staging.kills.wreckage import STORES, lengthen_tasks, wreck_code, wreck_service, wreck_stores
from staging.stack.stack import Stack
from staging.target.operators import Operators

RECORD = "kills.json"
SERVICE, UNTOUCHED = "frontend", "mongodb"


@dataclass
class Walk:
    """A walk's results so far; `steps` are each action's steps, from its journal undisturbed.

    `differences` are each action's differences in the stack from before, after all its kills.
    """

    steps: dict[str, list[str]] = field(default_factory=dict)
    kills: list[Kill] = field(default_factory=list)
    differences: dict[str, str] = field(default_factory=dict)
    finished: bool = False

    @property
    def passed(self) -> bool:
        """Whether the walk finished, every resumed rollback ended well, and nothing differs at the end."""
        well = bool(self.kills) and all(kill.passed for kill in self.kills)
        return self.finished and well and not any(self.differences.values())

    def record(self) -> dict[str, Any]:
        """Return the walk as a JSON object."""
        return {
            "passed": self.passed,
            "finished": self.finished,
            "steps": self.steps,
            "kills": [{**asdict(kill), "passed": kill.passed} for kill in self.kills],
            "differences": self.differences,
        }


def actions(stack: Stack, operators: Operators) -> list[Action]:
    """Return all actions: rollbacks of a service, of each store, of all code, and of everything."""
    commit = head(stack.state.application)

    def wreck(stores: Sequence[str], services: Sequence[str], *, code: bool) -> dict[str, frozenset[str]]:
        written = wreck_stores(operators, stores)
        for service in services:
            wreck_service(stack, service)
        if code:
            # Last: the services belong to the release that was backed up.
            wreck_code(stack)
        return written

    def action(
        name: str, arguments: Sequence[str], stores: Sequence[str] = (), services: Sequence[str] = ()
    ) -> Action:
        return Action(
            name,
            ("rollback", *arguments),
            partial(wreck, stores, services, code=name in {"full", "emergency"}),
            tuple(stores),
            # A rollback of code leaves all data alone, so a mark in any store must stay.
            partial(write_marks, operators, stores or (UNTOUCHED,)),
        )

    return [
        action("service", ("service", SERVICE), services=(SERVICE,)),
        *(action(f"database {name}", ("database", name), (name,)) for name in STORES),
        action("full", ("full", commit), services=(SERVICE,)),
        action("emergency", ("emergency", commit), tuple(STORES), (SERVICE,)),
    ]


def prepare(killer: Killer) -> None:
    """Take a backup and capture a baseline of a stack in which nothing expires during a walk.

    Raises:
        Problem: the backup or the capture failed.
    """
    with ExitStack() as opened:
        lengthen_tasks(Operators(killer.target, open_engine(killer.target.engine), opened))
    killer.prepare()


def walk(
    killer: Killer,
    patterns: Sequence[str],
    choose: Callable[[Sequence[str]], Sequence[str]],
    progress: Progress,
    record: Path,
) -> Walk:
    """Kill each action named by `patterns` at the steps that `choose` picks; write `record` after each.

    Raises:
        Problem: an action fails even undisturbed.
    """
    found = Walk()
    target = killer.target
    with ExitStack() as opened:
        operators = Operators(target, open_engine(target.engine), opened)
        for action in _chosen(actions(killer.stack, operators), patterns):
            with progress.step(f"{action.name}, undisturbed") as step:
                undisturbed = killer.undisturbed(action)
                seconds = undisturbed.seconds
                step.result = f"{len(seconds)} steps"
            found.steps[action.name] = list(seconds)
            # The kill's moment within a step is the same in every walk, whichever steps are chosen.
            random = Random(action.name)  # noqa: S311 - no secret
            shares = {name: random.random() for name in seconds}
            for name in choose(list(seconds)):
                with progress.step(f"{action.name}, killed in: {name}") as step:
                    kill = killer.kill(action, name, shares[name] * seconds[name], undisturbed)
                    step.result = kill.wrong or "as if it had not been"
                found.kills.append(kill)
                _keep(found, record)
            with progress.step(f"{action.name}, compare the whole stack") as step:
                found.differences[action.name] = killer.wrong_whole()
                step.result = found.differences[action.name] or "as before"
    found.finished = True
    _keep(found, record)
    return found


def show(found: Walk, console: Console) -> None:
    """Print a walk's table and its summary."""
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
    for action, difference in found.differences.items():
        if difference:
            console.print(f"after {action}: {difference}", markup=False)
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
