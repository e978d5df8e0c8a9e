"""The usual figures of a target, by its current baseline: record counts and response times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rollproof.baseline.facts import Facts
from rollproof.baseline.folder import CURRENT, Baseline
from rollproof.baseline.known_good import current_baseline
from rollproof.errors import Problem
from rollproof.profile.profile import Target


@dataclass(frozen=True, slots=True)
class Usual:
    """The few facts of `baseline` that are used at every beat.

    `records` are the counts of compared collections, by store and collection. `milliseconds` holds the
    response times of health and page, `page_status` the page's status; 0 if unknown.
    """

    baseline: Baseline
    records: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    page_status: int = 0


class CurrentUsual:
    """The current baseline's facts, read again when another baseline becomes current."""

    def __init__(self, target: Target) -> None:
        """Read nothing yet."""
        self._target = target
        self._id = ""
        self._found: Usual | Problem | None = None

    def read(self) -> Usual:
        """Return the facts. Verifying a baseline takes time: only one thread may call this.

        Raises:
            UsageProblem: there is no baseline. `Unverifiable`: it is not whole, or not of this target.
        """
        link = self._target.folders.baselines / CURRENT
        current = link.resolve().name if link.exists() else ""
        if self._found is None or not current or current != self._id:
            self._id, self._found = current, self._loaded()
        if isinstance(self._found, Problem):
            raise self._found.with_traceback(None)
        return self._found

    def milliseconds(self) -> Mapping[str, float]:
        """Return the response times of health and page as far as known, without waiting."""
        found = self._found
        return found.milliseconds if isinstance(found, Usual) else {}

    def page_status(self) -> int:
        """Return the status that the first page answered, as far as known, without waiting."""
        return self._found.page_status if isinstance(self._found, Usual) else 0

    def _loaded(self) -> Usual | Problem:
        try:
            baseline = current_baseline(self._target)
        except Problem as problem:
            return problem
        facts = baseline.facts
        records = {name: _compared(facts, name, self._target) for name in self._target.stores}
        compared = {name: counts for name, counts in records.items() if counts}
        return Usual(baseline, compared, facts.milliseconds, facts.page_status)


def _compared(facts: Facts, name: str, target: Target) -> dict[str, int]:
    """Return the counts of a store's collections whose records must still be there."""
    counts = facts.stores[name].counts if name in facts.stores else {}
    return {
        collection: counts[collection]
        for collection in facts.compared_in(name, target.stores[name])
        if collection in counts
    }
