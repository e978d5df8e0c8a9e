"""Checking that the baseline's records are still there: every compared collection is counted.

Where some are missing, they are compared by key and expiry before they are called lost.

All stores are asked side by side. A store that is costly to count is counted less often, and every sample
says so. Between two counts, and during one, the last count stands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from typing import TYPE_CHECKING

from rollproof.baseline.comparison import expired_by_now
from rollproof.baseline.facts import Facts, whole_digest
from rollproof.baseline.folder import Baseline, recorded_collection
from rollproof.baseline.recording import SamplePlan
from rollproof.errors import Meaning, Mismatch, Problem, Unverifiable, listed
from rollproof.home import typed
from rollproof.incident.samples import ProbeId, ProbeKind
from rollproof.monitoring.probes.application_probes import CurrentBaseline
from rollproof.monitoring.probes.probe import COLLECTED, Probe, ProbeResult
from rollproof.monitoring.probes.store_probes import Held
from rollproof.observation.content import compare
from rollproof.profile.profile import Target
from rollproof.stores.policy import pace_of
from rollproof.stores.registry import ReaderOpener, open_reader
from rollproof.system.clock import Moment
from rollproof.system.side_by_side import Question, wait_for

if TYPE_CHECKING:
    from rollproof.engines.engine import ContainerEngine

# Counting one store may use this share of the time, and this share of a processor.
BUSY, PROCESSOR = 0.25, 0.02
SECONDS = 60.0
"""A comparison of one collection may take this long, in the background."""
_SHOWN = 5

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Missed:
    """The records that are gone: by collection those that are lost, and the number that had expired."""

    lost: Counts = field(default_factory=dict)
    expired: int = 0


def missed_records(
    target: Target, engine: ContainerEngine, baseline: Baseline, store: str, counts: Counts
) -> Missed:
    """Return what is gone from the collections in `counts`, which has how many records each holds now.

    Raises:
        Unverifiable: a collection could not be compared whole.
    """
    lost, expired = dict[str, int](), 0
    for name, count in counts.items():
        gone, past = _compared(target, engine, baseline, store, name, count)
        expired += past
        lost |= {name: gone} if gone else {}
    return Missed(lost, expired)


def _compared(
    target: Target, engine: ContainerEngine, baseline: Baseline, store: str, name: str, count: int
) -> tuple[int, int]:
    """Return how many records of a collection are lost, and how many had expired.

    As many as users may have deleted by the policy `deletes` are not lost.
    """
    recorded, profile = recorded_collection(baseline, target, store, name), target.stores[store]
    records, deletable = baseline.folder / recorded.records, partial(baseline.deletable, profile, name)
    if not count:
        # Nothing is left there whose key could be compared; the collection itself may be gone.
        whole, expired = whole_digest(recorded.digests).records, expired_by_now(records, name)
        missing = whole - expired
        return missing if missing > deletable(whole) else 0, expired
    everything = SamplePlan(tuple(range(len(recorded.division))), SECONDS)
    with open_reader(store, profile, engine) as content:
        pace = pace_of(profile)
        found = compare(content, name, recorded, records, everything, pace, deletable=deletable)
    if found.unread or not found.coverage.whole:
        raise Unverifiable(
            what=f"keys of {name} of {store}",
            expected=f"all compared within {SECONDS:g} s",
            observed=str(found.coverage),
            source=store,
            hint=f"see what else the store is doing; without a limit: {typed('compare current')}",
            means=Meaning.TIMEOUT,
        )
    return found.lost, found.expired


class StoreRecords:
    """One store's records, counted in the background, and compared where the baseline has more."""

    def __init__(
        self,
        name: str,
        target: Target,
        engine: ContainerEngine,
        deadline: float,
        *,
        make_question: Callable[[str, Callable[[], Missed]], Question[Missed]],
        computed: Callable[[], float],
        open_reader: ReaderOpener,
        missed: Callable[[Target, ContainerEngine, Baseline, str, Counts], Missed],
    ) -> None:
        """Ask nothing yet; `deadline` is that of a beat, and a count may last several beats.

        `computed` returns the processor's seconds of the calling thread.
        """
        self.name = name
        self.services = target.stores[name].services
        self.every = 1
        """The number of beats from one count to the next."""
        # Never started: `begin` replaces it.
        self.question = make_question(f"records of {name}", Missed)
        self._make_question, self._computed, self._missed = make_question, computed, missed
        self._target, self._engine, self._deadline = target, engine, deadline
        self._held = Held(lambda: open_reader(name, target.stores[name], engine))
        # What the last count came to, and what the last comparison by key.
        self._known: tuple[Baseline, Missed] | None = None
        self._compared: tuple[Baseline, Counts, Missed] | None = None
        self._beats = 0

    def begin(self, baseline: Baseline, recorded: Counts) -> None:
        """Look for the `recorded` counts of `baseline`, when it is this store's turn."""
        self._beats += 1
        due = self._known is None or self._known[0] is not baseline or self._beats >= self.every
        if due and not self.question.waiting:
            self._beats = 0
            self.question = self._make_question(self.question.name, partial(self._count, baseline, recorded))
            self.question.start()

    def missed(self, baseline: Baseline) -> Missed:
        """Return the records of `baseline` that the last count missed.

        Raises:
            Problem, Mismatch: the store could not be counted, or a count lasts until the next is due.
        """
        late = self.question.waiting and self._beats >= self.every
        if not self.question.waiting:
            self.question.answer()  # it may have ended with an error
        if late or self._known is None or self._known[0] is not baseline:
            raise self.question.unanswered("still being counted")
        return self._known[1]

    def close(self) -> None:
        """Close the connection, unless it is in use."""
        if not self.question.waiting:
            self._held.close()

    def _count(self, baseline: Baseline, recorded: Counts) -> Missed:
        try:
            began, computed = Moment.now(), self._computed()
            with self._held.opened() as view:
                counts = view.counts()
            busy, computing = began.seconds_ago() / BUSY, (self._computed() - computed) / PROCESSOR
            self.every = max(1, ceil(max(busy, computing) / self._deadline))
            # A missing collection holds none.
            fewer = {name: now for name, count in recorded.items() if (now := counts.get(name, 0)) < count}
            if self._compared is None or self._compared[0] is not baseline or self._compared[1] != fewer:
                missed = self._missed(self._target, self._engine, baseline, self.name, fewer)
                self._compared = baseline, fewer, missed
        except (Problem, Mismatch):
            self._known = None
            raise
        self._known = baseline, self._compared[2]
        return self._compared[2]


class RecordsProbe(Probe):
    """The baseline's records that are gone now, over all stores."""

    id = ProbeId(ProbeKind.RECORDS)

    def __init__(
        self,
        target: Target,
        engine: ContainerEngine,
        deadline: float,
        current: CurrentBaseline,
        *,
        question: Callable[[str, Callable[[], Missed]], Question[Missed]] = Question,
        computed: Callable[[], float] = time.thread_time,
        open_reader: ReaderOpener = open_reader,
        missed: Callable[[Target, ContainerEngine, Baseline, str, Counts], Missed] = missed_records,
    ) -> None:
        self._limit = target.severity.critical.records_lost.limit
        self._target, self._deadline, self._current = target, deadline, current
        self._stores = {
            name: StoreRecords(
                name,
                target,
                engine,
                deadline,
                make_question=question,
                computed=computed,
                open_reader=open_reader,
                missed=missed,
            )
            for name in target.stores
        }

    def ask(self) -> ProbeResult:
        """Count the stores that are due, and compare all counts with the current baseline."""
        baseline = self._current.read()
        recorded = self._recorded(baseline.facts)
        stores = [self._stores[name] for name in recorded]
        if not stores:
            raise Unverifiable(
                what="records",
                expected="a collection of the baseline that is compared",
                observed="none",
                source=f"baseline {baseline.id}",
                hint="capture a baseline of the target with its data; see the policies of the profile",
            )
        for store in stores:
            store.begin(baseline, recorded[store.name])
        wait_for([store.question for store in stores], COLLECTED * self._deadline)
        unknown, missed = list[str](), dict[str, Missed]()
        for store in stores:
            try:
                missed[store.name] = store.missed(baseline)
            except (Problem, Mismatch) as wrong:
                unknown.append(wrong.summary)
        lost = {f"{name}/{one}": count for name, of in missed.items() for one, count in of.lost.items()}
        value = float(sum(lost.values()))
        if unknown and value < self._limit:
            raise Unverifiable(
                what="records",
                expected=f"records of {len(stores)} stores",
                observed=f"no answer of {len(unknown)}: {'; '.join(unknown)}",
                source="the stores",
                hint="records are known to be there only when they are counted, or compared",
            )
        total = sum(sum(counts.values()) for counts in recorded.values())
        expired = sum(of.expired for of in missed.values())
        most = [f"{name} {count:,}" for name, count in sorted(lost.items(), key=lambda gone: -gone[1])]
        said = [
            f"{value:,.0f} of {total:,} gone: {listed(most, _SHOWN)}"
            if lost
            else f"all {total - expired:,} there",
            *([f"{expired:,} expired by themselves"] if expired else []),
            *(f"{store.name} every {store.every} beats" for store in stores if store.every > 1),
            *(f"{store.name} by its last count" for store in stores if store.question.waiting),
            *(f"unknown: {why}" for why in unknown),
        ]
        services = [
            service for name, of in missed.items() if of.lost for service in self._stores[name].services
        ]
        return ProbeResult(value < self._limit, "; ".join(said), value, services=tuple(services))

    def _recorded(self, facts: Facts) -> dict[str, Counts]:
        """Return the counts of compared collections, by store and collection."""
        found = dict[str, Counts]()
        for name, store in self._target.stores.items():
            counts = facts.stores[name].counts if name in facts.stores else {}
            if kept := {one: counts[one] for one in facts.compared_in(name, store) if one in counts}:
                found[name] = kept
        return found

    def close(self) -> None:
        """Close the connections that are not in use."""
        for store in self._stores.values():
            store.close()
