"""`gate.md`: one page with the items of the gate before a migration, and whether each holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reports.text.page import MARKS, markdown
from rollproof.incident.ledger import NoteKind, Result, Run
from rollproof.profile.premigration import Waiver
from rollproof.runbook import STEPS
from rollproof.verdict import RunVerdict, Verdict

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
        yet=bool(verdict.partial) and len(passed) == len(checks),
        verdict=verdict,
        migration=(facts and facts.migration) or "not named",
        count=f"{len(passed) - waived} of {len(checks)} items hold"
        + (f", {waived} waived" if waived else ""),
        steps=steps,
        waivers=None if waivers is None else [(one, _use(one, checks)) for one in waivers],
    )


def _item(check: str, result: Result | None) -> Item:
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


def _is_waived(result: Result) -> bool:
    return any(note.kind is NoteKind.WAIVED for note in result.notes)
