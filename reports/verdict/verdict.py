"""An incident's verdict: `verdict.json` for programs, its lines for a terminal, its limits, a gate's page."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reports.incident.events import counted
from reports.incident.record import OTHER_SHAPE, IncidentRecord, without_source
from reports.text.page import MARKS, TITLES, markdown
from rollproof.baseline.demands import LIGHT_GATE, uncovered
from rollproof.baseline.facts import Facts
from rollproof.errors import Problem, UsageProblem, reason_of, shortened
from rollproof.home import typed
from rollproof.incident.ledger import CheckResult, NoteKind, Run
from rollproof.incident.tally import tally
from rollproof.profile.premigration import Waiver
from rollproof.profile.profile import Target
from rollproof.profile.sections import Policy
from rollproof.record_names import GATE_PAGE, POST_MORTEM, REPORT, RESULTS, VERDICT
from rollproof.runbook import STEPS
from rollproof.sealing.seal import UNSIGNED
from rollproof.system.files import write_page
from rollproof.system.record_files import as_json, read_record
from rollproof.verdict import RollbackVerdict, RunVerdict, Verdict, blind_at


def write_verdict(folder: Path, verdict: RunVerdict) -> Path:
    """Write the verdict into the incident's folder, whole or not at all; return its path."""
    path = folder / VERDICT
    text = json.dumps(as_json(verdict), ensure_ascii=False, allow_nan=False, indent=2)
    write_page(path, f"{text}\n")
    return path


def read_verdict(folder: Path) -> RunVerdict:
    """Return the verdict that `write_verdict` wrote; raises `UsageProblem` if there is none."""
    path = folder / VERDICT
    what, hint = "verdict", f"run the checks again: {typed('verify verification --target PROFILE')}"
    found = read_record(RunVerdict, path, what=what, hint=hint)
    if found is None:
        raise UsageProblem(
            what=what, expected=f"a readable {VERDICT}", observed="no such file", source=str(path), hint=hint
        )
    return found


def recounted(record: IncidentRecord) -> RunVerdict:
    """Return the record's verdict, or *broken* with the reason if the record cannot be read.

    Its `notes` and `signature` come from the folder's `verdict.json`, if that can be read: the rest of the
    record does not hold them all.
    """
    incident = record.incident
    try:
        verdict = tally(incident, record.windows, record.seal.evidence)
    except (Problem, OSError, *OTHER_SHAPE) as error:
        verdict = RunVerdict(
            incident=incident.id,
            target=incident.target,
            verdict=Verdict.BROKEN,
            phases={},
            rollback=None,
            verified_seconds=None,
            started=incident.started.wall,
            finished=incident.started.wall,
            partial=(f"the record cannot be read: {_why(error)}",),
        )
    try:
        earlier = read_verdict(incident.folder)
    except Problem:
        return verdict
    notes = tuple(dict.fromkeys([*verdict.notes, *earlier.notes]))
    return replace(verdict, notes=notes, signature=earlier.signature)


def _why(error: Exception) -> str:
    if isinstance(error, Problem):
        return without_source(error)
    return reason_of(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"


def known_limits(target: Target, recorded: Facts | None) -> Iterator[str]:
    """Yield what the checks of `target` leave unverified; `recorded` are its baseline's facts, if any."""
    yield from _left_out(target)
    for waiver in target.premigration.waivers:
        state = f"until {waiver.expires}" if waiver.holds() else f"EXPIRED {waiver.expires}, without effect"
        yield f"{waiver.item}: waived by {waiver.name}, {state}: {waiver.reason}"
    if recorded is None:
        yield "blind spots of the stores: not known, there is no baseline that could be read"
        return
    for check, reason in uncovered(target, recorded):
        yield f"{check}: not covered: {reason}"
    for name, content in recorded.contents.items():
        for spot in content.blind_spots:
            yield f"blind spot of {name}: {spot}"


def _left_out(target: Target) -> Iterator[str]:
    for name in target.application.functions.undescribed():
        yield f"function {name} of the application: undescribed, so nothing that needs it was verified"
    if target.application.functions.upload and not target.application.canary.upload:
        yield "function upload of the application: application.canary.upload names no document to send"
    if target.application.functions.tokens == "none":
        yield "what a log-in leaves: unverified, since the profile says that it leaves nothing"
    for name, store in target.stores.items():
        for pattern, fields in store.exclude.items():
            yield f"{name}/{pattern}: fields not compared: {', '.join(fields)}"
        for pattern, policy in store.policy.items():
            if not policy.compares_content:
                yield f"{name}/{pattern}: counted, not compared (policy volatile)"
            if policy is Policy.DELETES:
                yield f"{name}/{pattern}: some records may be gone unnoticed (policy deletes)"


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
    all_passed = all(phase.verdict is Verdict.PASSED for phase in verdict.phases.values())
    missing = verdict.partial if all_passed else ()
    whole = "; ".join(missing) if missing else f"the record so far is {verdict.verdict}: {meaning(verdict)}"
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


_NEVER = "it was planned, and never reported"
_SILENT = "it holds"


@dataclass(frozen=True, slots=True)
class Item:
    """An item of the gate: its mark, and what was observed."""

    check: str
    mark: str
    observed: str


def gate_page(
    verdict: RunVerdict, run: Run, waivers: Sequence[Waiver] | None, redact: Callable[[str], str]
) -> str:
    """Return the page of `run`, with its `verdict`; `waivers` are None if the profile is not known."""
    results, plan, facts = run.results(), run.plan(), run.facts()
    steps = {
        step: [_item(one, results.get(one)) for one in plan[step].checks] for step in STEPS if step in plan
    }
    checks = [item.check for items in steps.values() for item in items]
    passed = [check for check in checks if check in results and results[check].verdict is Verdict.PASSED]
    waived = sum(_is_waived(results[check]) for check in passed)
    return markdown(
        "gate.md.jinja",
        redact,
        promote=verdict.verdict is Verdict.PASSED,
        light=LIGHT_GATE if any(LIGHT_GATE in note for note in verdict.notes) else "",
        yet=bool(verdict.partial) and len(passed) == len(checks),
        verdict=verdict,
        migration=(facts and facts.migration) or "not named",
        count=f"{len(passed) - waived} of {len(checks)} items hold"
        + (f", {waived} waived" if waived else ""),
        steps=steps,
        waivers=None if waivers is None else [(one, _use(one, checks)) for one in waivers],
    )


def _item(check: str, result: CheckResult | None) -> Item:
    if result is None:
        return Item(check, MARKS[Verdict.BROKEN], _NEVER)
    said = [note.text for note in result.notes]
    if result.verdict is not Verdict.PASSED:
        said.insert(0, result.reason)
    return Item(check, "🏳️" if _is_waived(result) else MARKS[result.verdict], "; ".join(said) or _SILENT)


def _use(waiver: Waiver, checks: Sequence[str]) -> str:
    if not any(waiver.covers(check.split("::")[-1]) for check in checks):
        return "covers no item"
    return "" if waiver.holds() else "expired"


def _is_waived(result: CheckResult) -> bool:
    return any(note.kind is NoteKind.WAIVED for note in result.notes)
