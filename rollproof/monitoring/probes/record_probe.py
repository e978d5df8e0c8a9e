"""Checking that the baseline's records are still there: every compared collection is counted.

Where some are missing, they are compared by key and expiry before they are called lost.

All stores are asked side by side. A store that is costly to count is counted less often, and every sample
says so. Between two counts, and during one, the last count stands.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

from rollproof.baseline.comparison import compare, expired_by_now
from rollproof.baseline.facts import whole_digest
from rollproof.baseline.folder import Baseline, recorded_collection
from rollproof.baseline.sampling import SamplePlan
from rollproof.errors import Meaning, Mismatch, Problem, Unverifiable, listed
from rollproof.home import typed
from rollproof.monitoring.probes.held_view import HeldView
from rollproof.monitoring.probes.probe import Reading
from rollproof.monitoring.probes.usual import CurrentUsual
from rollproof.monitoring.samples import ProbeId, ProbeKind
from rollproof.profile.profile import Target
from rollproof.stores.policy import pace_of
from rollproof.stores.registry import open_content
from rollproof.system.side_by_side import Question, wait_for

if TYPE_CHECKING:
    from rollproof.engines.engine import ContainerEngine

# At this part of the deadline the counts so far are reported.
COUNTED = 0.8
# If a count takes longer than LONG times the deadline, it runs at most every RESTING beats.
LONG, RESTING = 0.5, 4
# Counting one store may use this share of a processor.
PROCESSOR = 0.02
_SHOWN = 5

Counts = Mapping[str, int]


class StoreCounts:
    """One store's counts, taken more often the cheaper they are."""

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
        """Whether the last count was quick enough to wait for the next."""
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
            Problem, Mismatch: the store could not be counted, or a count lasts until the next is due.
        """
        self._take()
        if not self.question.waiting:
            return self.question.answer()
        # The last count stands until the next is due; a count still running by then hangs.
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
        """Take the result of a finished count, once, and set how often to count."""
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
    """The baseline's records that are gone now, over all stores."""

    id = ProbeId(ProbeKind.RECORDS)

    def __init__(self, target: Target, engine: ContainerEngine, deadline: float, usual: CurrentUsual) -> None:
        """Connect to nothing yet."""
        self.deadline = deadline
        self._limit = target.severity.critical.records_lost.limit
        self._usual = usual
        # A count has its store's deadline rather than the beat's: it may last several beats.
        self._stores = {
            name: StoreCounts(HeldView(name, store, engine), deadline)
            for name, store in target.stores.items()
        }
        self._lost = {name: LostRecords(name, target, engine) for name in target.stores}

    def ask(self) -> Reading:
        """Count the stores that are due, and compare all counts with the current baseline."""
        usual = self._usual.read()
        counted = [self._stores[name] for name in usual.records]
        if not counted:
            raise Unverifiable(
                what="records",
                expected="a collection of the baseline that is compared",
                observed="none",
                source=f"baseline {usual.baseline.id}",
                hint="capture a baseline of the target with its data; see the policies of the profile",
            )
        give_up = time.monotonic() + COUNTED * self.deadline
        for store in counted:
            store.begin()
        wait_for([store.question for store in counted if store.quick], COUNTED * self.deadline)
        unknown, fewer = list[str](), dict[str, Counts]()
        for store in counted:
            with _noted(unknown):
                fewer[store.name] = _fewer(usual.records[store.name], store.counts())
        for name, counts in fewer.items():
            if counts:
                self._lost[name].look(usual.baseline, counts)
        compared = [self._lost[name] for name, counts in fewer.items() if counts]
        wait_for([one.question for one in compared], give_up - time.monotonic())
        lost, expired, services = dict[str, int](), 0, list[str]()
        for name, counts in fewer.items():
            with _noted(unknown):
                missed = self._lost[name].missed(counts) if counts else Missed()
                lost |= {f"{name}/{collection}": count for collection, count in missed.lost.items()}
                expired += missed.expired
                services += self._stores[name].services if missed.lost else ()
        return self._reading(usual.records, lost, expired, unknown, tuple(services))

    def close(self) -> None:
        """Close the connections that are not in use."""
        for store in self._stores.values():
            store.close()

    def _reading(
        self,
        recorded: Mapping[str, Counts],
        lost: Mapping[str, int],
        expired: int,
        unknown: list[str],
        services: tuple[str, ...],
    ) -> Reading:
        value = float(sum(lost.values()))
        if unknown and value < self._limit:
            raise Unverifiable(
                what="records",
                expected=f"records of {len(recorded)} stores",
                observed=f"no answer of {len(unknown)}: {'; '.join(unknown)}",
                source="the stores",
                hint="records are known to be there only when they are counted, or compared",
            )
        every = sum(sum(counts.values()) for counts in recorded.values())
        most = sorted(lost.items(), key=lambda gone: -gone[1])
        said = [
            f"{value:,.0f} of {every:,} gone: {listed([f'{name} {count:,}' for name, count in most], _SHOWN)}"
            if lost
            else f"all {every - expired:,} there",
            *([f"{expired:,} expired by themselves"] if expired else []),
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


def _fewer(before: Counts, now: Counts) -> Counts:
    """Return the counts of the collections that hold fewer records than before; a missing one holds none."""
    return {name: now.get(name, 0) for name, count in before.items() if now.get(name, 0) < count}


@contextmanager
def _noted(unknown: list[str]) -> Iterator[None]:
    """Add the problem of the body, in words, to `unknown`."""
    try:
        yield
    except (Problem, Mismatch) as wrong:
        unknown.append(wrong.summary)


def ordinal(number: int) -> str:
    """Return an ordinal: "1st", "2nd", "11th"."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in {11, 12, 13} else ending}"


SECONDS = 60.0
"""A comparison of one collection may take this long, in the background."""


@dataclass(frozen=True, slots=True)
class Missed:
    """The records that are gone: by collection those that are lost, and the number that had expired."""

    lost: Counts = field(default_factory=dict)
    expired: int = 0


class LostRecords:
    """One store's records that a count misses; the same counts are compared once."""

    def __init__(self, store: str, target: Target, engine: ContainerEngine) -> None:
        """Compare nothing yet."""
        self.question: Question[Missed] = Question(f"keys of the records of {store}", self._compared)
        self._store = store
        self._target = target
        self._engine = engine
        self._baseline: Baseline | None = None
        self._counts: Counts = {}
        self._known = False

    def look(self, baseline: Baseline, counts: Counts) -> None:
        """Begin to compare the collections of `counts`, which hold so many records now, and are too few."""
        same = self._baseline is baseline and self._counts == counts
        if self.question.waiting or (same and self._known):
            return
        self._baseline, self._counts, self._known = baseline, dict(counts), False
        self.question.start()

    def missed(self, counts: Counts) -> Missed:
        """Return what is gone of the collections of `counts`.

        Raises:
            Problem, Mismatch: they could not be compared, or are still being compared.
        """
        if self.question.waiting or self._counts != counts:
            raise self.question.unanswered("still being compared")
        return self.question.answer()

    def _compared(self) -> Missed:
        lost, expired = dict[str, int](), 0
        for name, count in self._counts.items():
            gone, past = self._compare(name, count)
            expired += past
            lost |= {name: gone} if gone else {}
        self._known = True
        return Missed(lost, expired)

    def _compare(self, name: str, count: int) -> tuple[int, int]:
        """Return how many records of a collection are lost, and how many had expired."""
        if self._baseline is None:
            raise ValueError("nothing was looked for")
        recorded = recorded_collection(self._baseline, self._target, self._store, name)
        records = self._baseline.folder / recorded.records
        if not count:
            # Nothing is left there whose key could be compared; the collection itself may be gone.
            expired = expired_by_now(recorded, records)
            return whole_digest(recorded.digests).records - expired, expired
        profile = self._target.stores[self._store]
        everything = SamplePlan(tuple(range(len(recorded.division))), SECONDS)
        with open_content(self._store, profile, self._engine) as content:
            found = compare(content, name, recorded, records, everything, pace_of(profile))
        if found.unread or not found.coverage.whole:
            raise Unverifiable(
                what=f"keys of {name} of {self._store}",
                expected=f"all compared within {SECONDS:g} s",
                observed=str(found.coverage),
                source=self._store,
                hint=f"see what else the store is doing; without a limit: {typed('compare current')}",
                means=Meaning.TIMEOUT,
            )
        return found.missing.count, found.expired
