"""Whether the records of the baseline are there still: every collection that is compared is counted.

All stores are asked side by side. One that is costly to count is counted more seldom, and every sample says
so; between two counts, and while one is taken, the last one stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import TYPE_CHECKING

from fixtures.errors import Mismatch, Problem, Unverifiable, listed
from fixtures.severity import RECORDS
from fixtures.target import Target
from rollback_actions.held_view import HeldView
from rollback_actions.reading import Reading
from rollback_actions.side_by_side import Question, wait_for
from rollback_actions.usual import CurrentUsual

if TYPE_CHECKING:
    from fixtures.engines.engine import ContainerEngine

# By this part of the deadline what has been counted is said.
COUNTED = 0.8
# A store that takes longer than this part of the deadline is counted every such beat, or more seldom.
LONG, RESTING = 0.5, 4
# Counting a store may take this part of a processor.
PROCESSOR = 0.02
_SHOWN = 5

Counts = Mapping[str, int]


class StoreCounts:
    """The counts of one store, taken as often as they are light."""

    def __init__(self, held: HeldView, deadline: float) -> None:
        """Ask nothing yet."""
        self.name = held.name
        self.services = held.services
        self.every = 1
        self.question: Question[Counts] = Question(f"records of {held.name}", self._ask)
        self._held = held
        self._deadline = deadline
        self._beats = 0
        self._known: Counts | None = None
        self._unread = False

    @property
    def quick(self) -> bool:
        """Whether a count is worth waiting for."""
        return self.question.seconds <= LONG * self._deadline

    def begin(self) -> None:
        """Count the store in the background, when it is its turn."""
        self._take()
        self._beats += 1
        if not self.question.waiting and (self._known is None or self._beats >= self.every):
            self._beats, self._unread = 0, True
            self.question.start()

    def counts(self) -> Counts:
        """Return the last counts.

        Raises:
            Problem, Mismatch: it could not be counted, or a count takes longer than its turn.
        """
        self._take()
        if not self.question.waiting:
            return self.question.answer()
        # Until its next turn the last count stands; one that is not done by then hangs.
        if self._known is not None and self._beats < self.every:
            return self._known
        raise self.question.unanswered("still being counted")

    def close(self) -> None:
        """Close the connection, unless it is in use."""
        if not self.question.waiting:
            self._held.close()

    def _ask(self) -> Counts:
        with self._held.opened() as view:
            return view.counts()

    def _take(self) -> None:
        """Look at what a count has come to, once."""
        if not self._unread or self.question.waiting:
            return
        self._unread = False
        try:
            self._known = self.question.answer()
        except (Problem, Mismatch):
            self._known, self.every = None, 1
            return
        long = self.question.seconds > LONG * self._deadline
        of_time = max(RESTING, ceil(self.question.seconds / (LONG * self._deadline))) if long else 1
        self.every = max(of_time, ceil(self.question.processor_seconds / (PROCESSOR * self._deadline)))


class RecordsProbe:
    """The records of the baseline that are not there any more, of all stores together."""

    name = RECORDS

    def __init__(self, target: Target, engine: ContainerEngine, deadline: float, usual: CurrentUsual) -> None:
        """Connect to nothing yet."""
        self.deadline = deadline
        self._limit = target.severity.critical.records_lost.limit
        self._usual = usual
        # A count has the deadline of its store, and not that of a beat: it may go on for longer than one.
        self._stores = {
            name: StoreCounts(HeldView(name, store, engine), deadline)
            for name, store in target.stores.items()
        }

    def ask(self) -> Reading:
        """Count what is due, and compare all of it with the current baseline."""
        usual = self._usual.read()
        counted = [self._stores[name] for name in usual.records]
        if not counted:
            raise Unverifiable(
                what="records",
                expected="a collection of the baseline that is compared",
                observed="none",
                source=f"baseline {usual.id}",
                hint="capture a baseline of the target with its data; see the policies of the profile",
            )
        for store in counted:
            store.begin()
        wait_for([store.question for store in counted if store.quick], COUNTED * self.deadline)
        lost, unknown, services = dict[str, int](), list[str](), list[str]()
        for store in counted:
            try:
                now = store.counts()
            except Problem as problem:
                unknown.append(problem.summary)
                continue
            except Mismatch as wrong:
                unknown.append(str(wrong).splitlines()[0])
                continue
            gone = _gone(store.name, usual.records[store.name], now)
            lost |= gone
            services += store.services if gone else ()
        return self._reading(usual.records, lost, unknown, tuple(services))

    def close(self) -> None:
        """Close the connections that are not in use."""
        for store in self._stores.values():
            store.close()

    def _reading(
        self,
        recorded: Mapping[str, Counts],
        lost: Mapping[str, int],
        unknown: list[str],
        services: tuple[str, ...],
    ) -> Reading:
        value = float(sum(lost.values()))
        if unknown and value < self._limit:
            raise Unverifiable(
                what="records",
                expected=f"counts of {len(recorded)} stores",
                observed=f"no answer of {len(unknown)}: {'; '.join(unknown)}",
                source="the stores",
                hint="what cannot be counted is not known to be there",
            )
        every = sum(sum(counts.values()) for counts in recorded.values())
        most = sorted(lost.items(), key=lambda gone: -gone[1])
        said = [
            f"{value:,.0f} of {every:,} gone: {listed([f'{name} {count:,}' for name, count in most], _SHOWN)}"
            if lost
            else f"all {every:,} there",
            *(
                f"{name} every {ordinal(store.every)} beat"
                for name, store in self._stores.items()
                if name in recorded and store.every > 1
            ),
            *(
                f"{name} by its last count"
                for name, store in self._stores.items()
                if name in recorded and store.quick and store.question.waiting
            ),
            *(f"unknown: {why}" for why in unknown),
        ]
        return Reading(value < self._limit, "; ".join(said), value, services=services)


def _gone(store: str, before: Counts, now: Counts) -> dict[str, int]:
    """Return how many records of each collection are missing; a collection that is not there has none."""
    missing = {f"{store}/{name}": count - now.get(name, 0) for name, count in before.items()}
    return {name: count for name, count in missing.items() if count > 0}


def ordinal(number: int) -> str:
    """Return a number as it is said of a place in a row."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in {11, 12, 13} else ending}"
