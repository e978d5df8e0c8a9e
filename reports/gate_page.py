"""`gate.md`: one page that says which items of the gate before a migration hold, and which do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fixtures.ledger import Result, Run
from fixtures.premigration import Waiver
from fixtures.stages import STEPS
from fixtures.verdict import RunVerdict, Verdict
from fixtures.waivers import WAIVED, covers, holds
from reports.stages import TITLES
from reports.summary import MARKS, escaped
from reports.titles import title_of

GATE_PAGE = "gate.md"
_NEVER = "it was planned, and never reported"
_SILENT = "it holds"


def gate_page(verdict: RunVerdict, run: Run, waivers: Sequence[Waiver]) -> str:
    """Return the page of `run`, which came to `verdict` under these `waivers`."""
    results, plan = run.results(), run.plan()
    checks = [check for step in STEPS if step in plan for check in plan[step].checks]
    passed = [check for check in checks if check in results and results[check].verdict is Verdict.PASSED]
    waived = sum(any(note.startswith(WAIVED) for note in results[check].notes) for check in passed)
    promote = verdict.verdict is Verdict.PASSED
    decision = "Promote" if promote else "Do not promote"
    migration = run.facts().get("migration") or "not named"
    count = f"{len(passed) - waived} of {len(checks)} items hold" + (f", {waived} waived" if waived else "")
    page = [
        f"# {MARKS[Verdict.PASSED] if promote else MARKS[Verdict.FAILED]} {decision}",
        "",
        f"Migration `{migration}` of target `{verdict.target}`, decided {verdict.finished}: {count}.",
        "",
    ]
    if verdict.partial:
        page += ["Not covered, so not known:", "", *(f"- {escaped(text)}" for text in verdict.partial), ""]
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
    said = list(result.notes)
    if result.verdict is not Verdict.PASSED:
        said.insert(0, result.reason)
    mark = "🏳️" if any(note.startswith(WAIVED) for note in said) else MARKS[result.verdict]
    return f"| {mark} | {escaped(title_of(check))} | {escaped('; '.join(said)) or _SILENT} |"


def _waivers(waivers: Sequence[Waiver], checks: Sequence[str], results: dict[str, Result]) -> Iterator[str]:
    if not waivers:
        return
    yield from ("## Waivers", "", "| item | by | reason | until | |", "|---|---|---|---|---|")
    for waiver in waivers:
        cells = (waiver.item, waiver.name, waiver.reason, str(waiver.expires), _use(waiver, checks, results))
        yield f"| {' | '.join(escaped(cell) for cell in cells)} |"
    yield ""


def _use(waiver: Waiver, checks: Sequence[str], results: dict[str, Result]) -> str:
    covered = [check for check in checks if covers(waiver, check.split("::")[-1])]
    if not covered:
        return "covers no item"
    if not holds(waiver):
        return "expired"
    notes = [note for check in covered if check in results for note in results[check].notes]
    return "used" if any(note.startswith(f"{WAIVED} {waiver.name} ") for note in notes) else "not needed"
