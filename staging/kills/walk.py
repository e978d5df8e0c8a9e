"""The walk: every action is killed at every step of its journal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from random import Random

from reports.terminal.progress import Progress
from rollproof.git.repository import head
from staging.kills.kill import KilledRollback, Killer
from staging.kills.wreckage import (
    STORES,
    lengthen_tasks,
    wreck_code,
    wreck_service,
    wreck_stores,
    write_marks,
)
from staging.rounds import Round, RoundResult, chosen
from staging.stack.stack import Stack
from staging.target.operators import Operators, operators_of

SERVICE, UNTOUCHED = "frontend", "mongodb"


def actions(stack: Stack, operators: Operators) -> list[KilledRollback]:
    """Return all actions: rollbacks of a service, of each store, of all code, and of everything."""
    commit = head(stack.state.application)

    def wreck(stores: Sequence[str], *, service: bool, code: bool) -> dict[str, frozenset[str]]:
        written = wreck_stores(operators, stores)
        if service:
            wreck_service(stack, SERVICE)
        if code:
            # Last: the services belong to the release that was backed up.
            wreck_code(stack)
        return written

    def action(
        *words: str, stores: Sequence[str] = (), service: bool = True, code: bool = False
    ) -> KilledRollback:
        return KilledRollback(
            " ".join(words[:2]) if stores and not code else words[0],
            ("rollback", *words),
            partial(wreck, stores, service=service, code=code),
            tuple(stores),
            # A rollback of code leaves all data alone, so a mark in any store must stay.
            partial(write_marks, operators, stores or (UNTOUCHED,)),
        )

    return [
        action("service", SERVICE),
        *(action("database", name, stores=(name,), service=False) for name in STORES),
        action("full", commit, code=True),
        action("emergency", commit, stores=tuple(STORES), code=True),
    ]


def prepare(killer: Killer) -> None:
    """Take a backup and capture a baseline of a stack in which nothing expires during a walk."""
    with operators_of(killer.target) as operators:
        lengthen_tasks(operators)
    killer.require("backup")
    killer.require("capture")


def walk(
    killer: Killer,
    patterns: Sequence[str],
    choose: Callable[[Sequence[str]], Sequence[str]],
    progress: Progress,
    found: Round,
) -> None:
    """Kill each action named by `patterns` at the steps that `choose` picks.

    Raises:
        ActionFailed: an action fails even undisturbed.
    """
    with operators_of(killer.target) as operators:
        for action in chosen(actions(killer.stack, operators), patterns):
            with progress.step(f"{action.name}, undisturbed") as step:
                undisturbed = killer.undisturbed(action)
                step.result = f"{len(undisturbed.seconds)} steps"
            # The kill's moment within a step is the same in every walk, whichever steps are chosen.
            random = Random(action.name)  # noqa: S311 - no secret
            shares = {name: random.random() for name in undisturbed.seconds}
            for name in choose(list(undisturbed.seconds)):
                with progress.step(f"{action.name}, killed in: {name}") as step:
                    after = shares[name] * undisturbed.seconds[name]
                    result = killer.kill(action, name, after, undisturbed)
                    step.result = result.wrong or result.seen
                found.add(result)
            started = time.monotonic()
            with progress.step(f"{action.name}, compare the whole stack") as step:
                wrong = killer.wrong_whole()
                step.result = wrong or "as before"
            found.add(
                RoundResult(f"{action.name}, the whole stack", "as before", wrong, time.monotonic() - started)
            )
    found.finish()
