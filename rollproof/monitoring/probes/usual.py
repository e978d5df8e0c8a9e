"""The usual figures of a target, by its current baseline: record counts and response times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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

    def known(self) -> Usual | None:
        """Return the facts as far as they were read, without waiting."""
        found = self._found
        return found if isinstance(found, Usual) else None

    def _loaded(self) -> Usual | Problem:
        try:
            baseline = current_baseline(self._target)
        except Problem as problem:
            return problem
        facts, records = baseline.facts, dict[str, Mapping[str, int]]()
        for name, store in self._target.stores.items():
            counts = facts.stores[name].counts if name in facts.stores else {}
            compared = facts.compared_in(name, store)
            if kept := {collection: counts[collection] for collection in compared if collection in counts}:
                records[name] = kept
        return Usual(baseline, records, facts.milliseconds, facts.page_status)
