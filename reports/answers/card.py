"""The runbook's command reference card, filled in for one target at this moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rollproof.backups.sets import find_backup
from rollproof.baseline.known_good import current_baseline
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Problem
from rollproof.git.repository import git
from rollproof.monitoring.rollback_request import Kind, RollbackRequest
from rollproof.planning.advice import Advice
from rollproof.planning.lock_state import LockState
from rollproof.planning.unfinished import unfinished_of
from rollproof.system.clock import age
from rollproof.system.command import Command
from rollproof.system.process import Life


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the card: its purpose, the command to type, and remarks."""

    title: str
    command: Command | None = None
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """The card of one target."""

    target: str
    entries: tuple[Entry, ...]


def card_lines(filled: Card) -> Iterator[str]:
    """Yield the card for people."""
    yield f"EMERGENCY COMMANDS for {filled.target}"
    for entry in filled.entries:
        yield f"\n{entry.title}:"
        if entry.command:
            yield f"  {entry.command}"
        yield from (f"    {line}" for line in entry.lines)


def card(advice: Advice, engine: ContainerEngine, lock: LockState) -> Iterator[Entry]:
    """Yield the entries of the card; an entry that cannot be determined gives the reason instead."""
    target = advice.target
    yield _emergency(advice)
    yield Entry("Quick health check", advice.health())
    yield Entry(
        "Recent commits",
        advice.commits(),
        tuple(_said(lambda: git(target.application.repository, "log", "--oneline", "-10").splitlines())),
    )
    yield _logs(advice, engine)
    yield Entry("Lock", lines=(str(lock),))
    yield _next(advice, lock)


def _emergency(advice: Advice) -> Entry:
    title = "One-line emergency rollback"
    target = advice.target
    try:
        baseline = current_baseline(target)
    except Problem as problem:
        return Entry(title, lines=tuple(str(problem).splitlines()))
    commit = baseline.facts.commit
    command = advice.rollback(RollbackRequest(Kind.EMERGENCY, commit))

    def backup() -> list[str]:
        found = find_backup(target.folders.backups, target.name, commit)
        return [f"data goes back to {found.finished.wall}, {age(found.finished.seconds_ago())} ago"]

    return Entry(title, command, (f"known good: baseline {baseline.id}", *_said(backup)))


def _logs(advice: Advice, engine: ContainerEngine) -> Entry:
    services = advice.target.application.services
    title = "Logs"
    try:
        there = engine.containers()
    except Problem as problem:
        return Entry(title, advice.logs(services), (problem.summary,))
    unwell = [
        service
        for service in advice.target.services
        if not any(c.running and c.healthy for c in there.get(service, ()))
    ]
    if not unwell:
        return Entry(title, advice.logs(services), ("every service runs, and is healthy where it says so",))
    return Entry(title, advice.logs(unwell), (f"in trouble: {', '.join(unwell)}",))


def _next(advice: Advice, lock: LockState) -> Entry:
    target, title = advice.target, "What next"
    if lock.holder is not None and not lock.ended:
        what = "an action is running" if lock.life is Life.RUNS else "an action may be running"
        return Entry(title, advice.status(), (f"{what}: see how far it is",))
    try:
        unfinished = unfinished_of(target.folders.incidents, target.name)
    except Problem as problem:
        return Entry(title, lines=tuple(str(problem).splitlines()))
    if unfinished:
        one = unfinished[0]
        return Entry(
            title,
            advice.resume(take_over=lock.ended),
            (f"{one.request}, incident {one.incident.id}, did not succeed: resume",),
        )
    return Entry(title, advice.plan(), ("decide: say what is in trouble, see what would be done and lost",))


def _said(ask: Callable[[], list[str]]) -> list[str]:
    try:
        return ask()
    except Problem as problem:
        return [problem.summary]
