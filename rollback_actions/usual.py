"""What is usual at a target, by its current baseline: how many records it holds, how fast it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fixtures.errors import Problem
from fixtures.policy import compared_in
from fixtures.recorded import Facts
from fixtures.target import Target
from rollback_actions.known_good import current_baseline


@dataclass(frozen=True, slots=True)
class Usual:
    """The little of a baseline that is looked at again and again; `id` is that of the baseline.

    `records` are the counts, by store and collection, of what is compared with a baseline; `milliseconds` is
    how long health and page took.
    """

    id: str
    records: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    milliseconds: Mapping[str, float] = field(default_factory=dict)


class CurrentUsual:
    """What the current baseline says, read anew when another one has become the current one."""

    def __init__(self, target: Target) -> None:
        """Read nothing yet."""
        self._target = target
        self._id = ""
        self._found: Usual | Problem | None = None

    def read(self) -> Usual:
        """Return it. To verify a baseline takes its time: only one thread may ask for this.

        Raises:
            UsageProblem: there is no baseline. `Unverifiable`: it is not whole, or not of this target.
        """
        link = self._target.folders.baselines / "current"
        current = link.resolve().name if link.exists() else ""
        if self._found is None or not current or current != self._id:
            self._id, self._found = current, self._loaded()
        if isinstance(self._found, Problem):
            raise self._found.with_traceback(None)
        return self._found

    def milliseconds(self) -> Mapping[str, float]:
        """Return how long health and page took, without waiting; nothing where that is not known yet."""
        found = self._found
        return found.milliseconds if isinstance(found, Usual) else {}

    def _loaded(self) -> Usual | Problem:
        try:
            baseline = current_baseline(self._target)
        except Problem as problem:
            return problem
        facts = baseline.facts
        records = {name: _compared(facts, name, self._target) for name in self._target.stores}
        return Usual(
            baseline.id, {name: counts for name, counts in records.items() if counts}, facts.milliseconds
        )


def _compared(facts: Facts, name: str, target: Target) -> dict[str, int]:
    """Return the counts of the collections of a store whose records must be there still."""
    counts = facts.stores[name].counts if name in facts.stores else {}
    return {
        collection: counts[collection]
        for collection in compared_in(facts, name, target.stores[name])
        if collection in counts
    }
