"""A comparison of a target with a baseline, in lines for people: the verdict, then what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rollproof.judgement.finding import Finding
from rollproof.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Comparison:
    """The findings of `compare`, by store, and what no digest of each store knows."""

    baseline: str
    verdict: Verdict
    blind_spots: Mapping[str, tuple[str, ...]]
    findings: tuple[Finding, ...]


def comparison_lines(comparison: Comparison, *, limits: bool = False) -> Iterator[str]:
    """Yield the comparison for people, with `limits` what no digest knows as well."""
    yield f"compared with {comparison.baseline}: {comparison.verdict}"
    for finding in sorted(comparison.findings, key=lambda finding: finding.verdict is Verdict.PASSED):
        yield f"{finding.verdict:<6} {finding.text}"
        if finding.verdict is not Verdict.PASSED:
            yield f"       HINT: {finding.hint}"
    for note in dict.fromkeys(note for finding in comparison.findings for note in finding.notes):
        yield f"note: {note}"
    for store in dict.fromkeys(finding.store for finding in comparison.findings if finding.users_policy):
        changed = [one for one in comparison.findings if one.store == store and one.users_policy]
        policies = ", ".join(f'"{one.name}" = "{one.users_policy}"' for one in changed)
        yield f"if users did this to {store}: policy = {{{policies}}} in its section of the profile"
    if not limits:
        yield "--limits names what no digest of these stores knows"
        return
    for store, spots in comparison.blind_spots.items():
        for spot in spots:
            yield f"blind spot of {store}: {spot}"
