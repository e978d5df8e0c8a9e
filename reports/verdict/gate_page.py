"""`gate.md`: one page with the items of the gate before a migration, and whether each holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reports.text.page import MARKS, escaped
from reports.text.stages import TITLES, title_of
from reports.verdict.known_limits import NOT_KNOWN
from rollproof.incident.ledger import NoteKind, Result, Run
from rollproof.profile.premigration import Waiver, waiver_of
from rollproof.runbook import STEPS
from rollproof.verdict import RunVerdict, Verdict

_NEVER = "it was planned, and never reported"
_SILENT = "it holds"


def gate_page(verdict: RunVerdict, run: Run, waivers: Sequence[Waiver] | None) -> str:
    """Return the page of `run`, with its `verdict` under these `waivers`, None if the profile is not known.

    Raises:
        OSError, ValueError: the record of the run cannot be read.
    """
    results, plan = run.results(), run.plan()
    checks = [check for step in STEPS if step in plan for check in plan[step].checks]
    passed = [check for check in checks if check in results and results[check].verdict is Verdict.PASSED]
    waived = sum(_is_waived(results[check]) for check in passed)
    promote = verdict.verdict is Verdict.PASSED
    decision = "Promote" if promote else "Do not promote"
    facts = run.facts()
    migration = (facts and facts.migration) or "not named"
    count = f"{len(passed) - waived} of {len(checks)} items hold" + (f", {waived} waived" if waived else "")
    page = [
        f"# {MARKS[Verdict.PASSED] if promote else MARKS[Verdict.FAILED]} {decision}",
        "",
        f"Migration `{migration}` of target `{verdict.target}`, decided {verdict.finished}: {count}.",
        "",
    ]
    if verdict.partial:
        page += ["Not covered, so unknown:", "", *(f"- {escaped(text)}" for text in verdict.partial), ""]
    for step in STEPS:
        if step not in plan:
            continue
        page += [f"## {TITLES[step]}", "", "| | item | what was observed |", "|---|---|---|"]
        page += [_row(check, results.get(check)) for check in plan[step].checks]
        page.append("")
    return "\n".join([*page, *_waivers(waivers, checks, results)])


def _row(check: str, result: Result | None) -> str:
    if result is None:
        return f"| {MARKS[Verdict.BROKEN]} | {escaped(title_of(check))} | {_NEVER} |"
    said = [note.text for note in result.notes]
    if result.verdict is not Verdict.PASSED:
        said.insert(0, result.reason)
    mark = "🏳️" if _is_waived(result) else MARKS[result.verdict]
    return f"| {mark} | {escaped(title_of(check))} | {escaped('; '.join(said)) or _SILENT} |"


def _waivers(
    waivers: Sequence[Waiver] | None, checks: Sequence[str], results: dict[str, Result]
) -> Iterator[str]:
    if waivers is None:
        yield from ("## Waivers", "", NOT_KNOWN, "")
        return
    if not waivers:
        return
    yield from ("## Waivers", "", "| item | by | reason | until | |", "|---|---|---|---|---|")
    for waiver in waivers:
        cells = (
            waiver.item,
            waiver.name,
            waiver.reason,
            str(waiver.expires),
            _use(waiver, waivers, checks, results),
        )
        yield f"| {' | '.join(escaped(cell) for cell in cells)} |"
    yield ""


def _use(waiver: Waiver, waivers: Sequence[Waiver], checks: Sequence[str], results: dict[str, Result]) -> str:
    names = {check: check.split("::")[-1] for check in checks}
    covered = [check for check in checks if waiver.covers(names[check])]
    if not covered:
        return "covers no item"
    if not waiver.holds():
        return "expired"
    waived = [check for check in covered if check in results and _is_waived(results[check])]
    # If several waivers cover an item, the first one lets it pass.
    used = any(waiver_of(waivers, names[check]) is waiver for check in waived)
    return "used" if used else "not needed"


def _is_waived(result: Result) -> bool:
    return any(note.kind is NoteKind.WAIVED for note in result.notes)
