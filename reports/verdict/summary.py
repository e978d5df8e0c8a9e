"""The verdict in a dozen lines, for a terminal and for a log."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from reports.incident.events import counted
from reports.text.stages import TITLES
from rollproof.errors import shortened
from rollproof.home import typed
from rollproof.record_names import GATE_PAGE, POST_MORTEM, REPORT, RESULTS, VERDICT
from rollproof.runbook import STEPS
from rollproof.sealing.seal import UNSIGNED
from rollproof.verdict import RollbackVerdict, RunVerdict, Verdict, blind_at

STYLES = {
    Verdict.PASSED: "bold green",
    Verdict.FAILED: "bold red",
    Verdict.BROKEN: "bold yellow",
    Verdict.BLOCKED: "bold blue",
}
_MEANINGS = {
    Verdict.PASSED: "every check of all four phases ran and passed",
    Verdict.FAILED: "something was verified, and it is wrong",
    Verdict.BROKEN: "not everything could be verified",
    Verdict.BLOCKED: "nothing was tried",
}
# The meanings for the gate before a migration.
_GATE_MEANINGS = {
    Verdict.PASSED: "every item of the gate holds, or is waived",
    Verdict.FAILED: "do not promote: an item of the gate does not hold",
    Verdict.BROKEN: "do not promote: not every item of the gate could be verified",
    Verdict.BLOCKED: "do not promote: nothing was tried",
}
_LATE = "every check of all four phases ran and passed, but the target was down for longer than its objective"
_NOT_IN_TIME = "every check of all four phases ran and passed, but not in time"
_LONGEST_BLOCKED = 140
_RECORD_FILES = (VERDICT, GATE_PAGE, REPORT, POST_MORTEM, RESULTS)


def lines(
    verdict: RunVerdict,
    folder: Path,
    *,
    notes: Iterable[str] = (),
    green: bool = False,
    subject: str = "",
) -> Iterator[tuple[str, str, str]]:
    """Yield each line as its lead, its rest, and the lead's style in the words of rich and pytest.

    `notes` are lines of the caller; `green` says that every check of the run passed. `subject` is what was
    verified, by default the target's name. The verdict comes last, since the end stays on a screen.
    """
    style = STYLES[verdict.verdict]
    if verdict.rollback is not None:
        yield "", f"  {_rollback(verdict, verdict.rollback)}", ""
    for name, phase in verdict.phases.items():
        window = "{:g}-{:g} s".format(*phase.window) if phase.window is not None else ""
        shown = f"window {window:<10}  " if window else ""
        late = ", late" if phase.late else ""
        rest = f" {TITLES[name]:<24} {phase.seconds:6.1f} s  {shown}{counted(phase)}{late}"
        yield f"  {phase.verdict:<7}", rest, STYLES[phase.verdict]
    for reason, titles in _blocked(verdict).items():
        yield "  blocked", f" {', '.join(titles)}: {reason}", STYLES[Verdict.BLOCKED]
    for reason in filter(None, (verdict.late_phases, verdict.late)):
        yield "  late", f"    {reason}", style
    if verdict.partial:
        yield "  not covered", f": {'; '.join(verdict.partial)}", style
    there = [name for name in _RECORD_FILES if (folder / name).exists()]
    yield "", f"  record  {shown_folder(folder)}: {', '.join(there)}", ""
    yield "", f"  {signature_of(verdict)}", ""
    yield from (("", note, "") for note in notes)
    said, text = verdict.said(green=green), conclusion(verdict, green=green)
    yield said.upper(), f": {text} ({subject or verdict.target})", STYLES[said]


def conclusion(verdict: RunVerdict, *, green: bool) -> str:
    """Return the meaning of the run's verdict, and what keeps the whole record from it if the two differ."""
    if verdict.said(green=green) is verdict.verdict:
        return meaning(verdict)
    to_come = all(phase.verdict is Verdict.PASSED for phase in verdict.phases.values()) and verdict.partial
    whole = "; ".join(to_come) if to_come else f"the record so far is {verdict.verdict}: {meaning(verdict)}"
    return f"every check of this run ran and passed; {whole}"


def meaning(verdict: RunVerdict) -> str:
    """Return the verdict's meaning in a sentence."""
    if verdict.late_phases is not None:
        return (
            _NOT_IN_TIME if verdict.verified else f"{_MEANINGS[verdict.found or verdict.verdict]}; late too"
        )
    if verdict.late is not None:
        return _LATE
    of_gate = bool(verdict.phases) and set(verdict.phases) <= set(STEPS)
    return (_GATE_MEANINGS if of_gate else _MEANINGS)[verdict.verdict]


def signature_of(verdict: RunVerdict) -> str:
    """Return who signs the record, in words."""
    return verdict.signature if verdict.signature == UNSIGNED else f"signed with the key {verdict.signature}"


def _rollback(verdict: RunVerdict, rollback: RollbackVerdict) -> str:
    text = f"rollback {rollback.verdict} in {rollback.seconds:.1f} s"
    if verdict.verified_seconds is not None:
        text = f"{text}, verified after {verdict.verified_seconds:.1f} s in all"
    if verdict.records is not None:
        text += f"; records: {', '.join(f'{count:,} {name}' for name, count in verdict.records.items())}"
    return text + blind_at(verdict.blind or ())


def _blocked(verdict: RunVerdict) -> dict[str, list[str]]:
    """Return the titles of the phases that were only blocked, by reason; a late phase has its own line."""
    titles: dict[str, list[str]] = {}
    for name, phase in verdict.phases.items():
        only = phase.checks.blocked and not (phase.checks.failed or phase.checks.broken or phase.late)
        if only and phase.first is not None:
            reason = shortened(" ".join(phase.first.reason.split()), _LONGEST_BLOCKED)
            titles.setdefault(reason, []).append(TITLES[name])
    return titles


def report_command(folder: Path) -> str:
    """Return the command that rebuilds the record in `folder`, as a person types it here."""
    return typed(shlex.join(["report", str(shown_folder(folder))]))


def shown_folder(folder: Path) -> Path:
    """Return `folder` relative to the working directory if it lies below it."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
