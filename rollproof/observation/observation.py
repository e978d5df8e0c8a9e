"""The observation of a target: what its baseline recorded, read again now."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cached_property
from math import inf
from typing import Self, TypeVar

from rollproof.baseline.comparison import CollectionComparison, expired_by_now
from rollproof.baseline.recording import shares_of_stores
from rollproof.collection import Case, Json
from rollproof.errors import Mismatch, Problem, Unverifiable
from rollproof.judgement.finding import ASPECTS, Aspect, Finding, items_of
from rollproof.judgement.judge import Judge
from rollproof.observation.store import ObservedStore, StoreReading
from rollproof.profile.sections import Reference
from rollproof.stores.contract import QueryAnswer, Recall, Retention, Unlisted
from rollproof.stores.policy import policy_of
from rollproof.stores.references import Followed, follow_all, look
from rollproof.system.side_by_side import Ahead, NoAnswer, Opened
from rollproof.system.steps import step

Answered = TypeVar("Answered")
Pending = Callable[[], Answered]
"""Waits for an answer, or raises the problem that came instead."""
_REFERENCES = "references"


class Observation:
    """What a target is now. Each fact is read once, when it is asked for or was begun before.

    Each store has a thread and a reader of its own, and is asked one question after the other; references,
    which need several stores, have another. Every question raises `Problem` if the store does not answer.
    """

    def __init__(
        self,
        reading: StoreReading,
        *,
        seconds: Callable[[], float] = lambda: inf,
        in_turn: bool = False,
        cut: Callable[[Reference], Container[int]] = lambda _: (),
    ) -> None:
        """Read nothing yet.

        `seconds` returns those for the digests of all collections, whose stores are read `in_turn` or side by
        side. `cut` returns the digests of a reference's names that may dangle.
        """
        self._reading, self._seconds, self._in_turn, self._cut = reading, seconds, in_turn, cut
        self._stores = {name: ObservedStore(name, reading) for name in reading.target.stores}
        self._readers = Opened(lambda name: ObservedStore(name, reading).reader)
        self._ahead, self._counted = Ahead(), 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Close all readers."""
        self._readers.close()
        for store in self._stores.values():
            store.close()

    def begin(self, parameter: str, at: Case | str) -> None:
        """Begin to read what a check with this parameter needs; `Items` has both."""
        match parameter, at:
            case "collection", Case():
                self._begin_counts(at.store)
            case "schema", Case():
                self._begin_schemas(at.store)
            case "content", Case():
                self._begin_comparison(at)
            case "searched", Case():
                self._begin_recall(at)
            case "moving_store", str():
                self._begin_position_faults(at)
            case "shared_store", str():
                self._begin_unlisted(at)
            case "relation", str():
                self._begin_followed(at)

    def answers(self) -> Mapping[str, QueryAnswer | NoAnswer]:
        """Return each store's answer to a query that touches real data, or the problem that came instead."""
        asked = {name: self._ask("query", name, ObservedStore.answer) for name in self._stores}
        return {name: _answered(pending) for name, pending in asked.items()}

    def load_states(self, every: Sequence[Case]) -> Mapping[str, str | NoAnswer]:
        """Return the load state of each of these collections of vectors, by its id."""
        return self._of_each("load state", every, ObservedStore.load_state)

    def searches(self, every: Sequence[Case]) -> Mapping[str, Sequence[str] | NoAnswer | None]:
        """Return the keys that a search finds in each of these collections, by its id; None for none."""
        return self._of_each("search", every, ObservedStore.search)

    def counts(self, store: str) -> Mapping[str, int | Unverifiable]:
        """Return a store's exact counts by collection; a number may be unknown, which has its reason."""
        return self._begin_counts(store)()

    def counts_now(self) -> Mapping[str, Mapping[str, int | Unverifiable] | NoAnswer]:
        """Count every store again, whatever was counted before."""
        self._counted += 1
        what = f"count {self._counted}"
        asked = {name: self._ask(what, name, ObservedStore.counts) for name in self._stores}
        return {name: _answered(pending) for name, pending in asked.items()}

    def schemas(self, store: str) -> Mapping[str, Json]:
        """Return a store's schemas by name."""
        return self._begin_schemas(store)()

    def hidden(self, store: str) -> Sequence[str]:
        """Return what the store's account does not see, in words."""
        return self._ask("sight", store, ObservedStore.hidden)()

    def expired(self, at: Case) -> int:
        """Return how many of a collection's recorded records have expired since; 0 if none was recorded."""
        baseline = self._reading.baseline()
        content = baseline.facts.contents.get(at.store)
        recorded = content.collections.get(at.name) if content else None
        return expired_by_now(baseline.folder / recorded.records, at.name) if recorded else 0

    def comparison(self, at: Case) -> CollectionComparison:
        """Return how a collection's records differ from the recorded ones."""
        return self._begin_comparison(at)()

    def recall(self, at: Case) -> Recall | None:
        """Return what searches through a collection's index find of the nearest records."""
        return self._begin_recall(at)()

    def position_faults(self, store: str) -> Sequence[str]:
        """Return the faults of a store's recorded positions."""
        return self._begin_position_faults(store)()

    def unlisted(self, store: str) -> Unlisted | None:
        """Return what a store holds outside of the profile's lists."""
        return self._begin_unlisted(store)()

    def retentions(self, store: str) -> Mapping[str, Retention | None]:
        """Return how long each log of a store keeps a record."""
        return self._ask("retention", store, ObservedStore.retentions)()

    def followed(self, reference: str) -> Followed:
        """Return what following a reference of the profile found."""
        return self._begin_followed(reference)()

    def tolerated(self) -> int:
        """Return the number of tolerated names of all references."""
        number = 0
        for name in self._reading.target.references:
            with suppress(Mismatch, Problem):  # its own finding says so
                number += len(self.followed(name).tolerated)
        return number

    def follow_now(self, references: Mapping[str, Reference]) -> Mapping[str, int | NoAnswer]:
        """Return, by the name of each of these references, the records for which it holds, or its fault."""
        return follow_all(references, self._readers, self._reading.target.personal)

    def _begin_counts(self, store: str) -> Pending[Mapping[str, int | Unverifiable]]:
        return self._ask("count", store, ObservedStore.counts)

    def _begin_schemas(self, store: str) -> Pending[Mapping[str, Json]]:
        return self._ask("schemas", store, ObservedStore.schemas)

    def _begin_comparison(self, at: Case) -> Pending[CollectionComparison]:
        seconds = self._content_seconds.get(at.id, inf)
        return self._ask("compare", at, lambda store: store.comparison(at.name, seconds))

    def _begin_recall(self, at: Case) -> Pending[Recall | None]:
        return self._ask("recall", at, lambda store: store.recall(at.name))

    def _begin_position_faults(self, store: str) -> Pending[Sequence[str]]:
        return self._ask("positions", store, ObservedStore.position_faults)

    def _begin_unlisted(self, store: str) -> Pending[Unlisted | None]:
        return self._ask("accounts and settings", store, ObservedStore.unlisted)

    def _begin_followed(self, name: str) -> Pending[Followed]:
        reference = self._reading.target.references[name]

        def followed() -> Followed:
            with step(f"follow: {name}"):
                return look(reference, self._readers, self._cut(reference))

        return self._ahead.begin(_REFERENCES, ("follow", name), followed)

    def _of_each(
        self, what: str, every: Sequence[Case], question: Callable[[ObservedStore, str], Answered]
    ) -> Mapping[str, Answered | NoAnswer]:
        def begun(at: Case) -> Pending[Answered]:
            return self._ask(what, at, lambda store: question(store, at.name))

        asked = {at.id: begun(at) for at in every}
        return {name: _answered(pending) for name, pending in asked.items()}

    def _ask(
        self, what: str, at: Case | str, question: Callable[[ObservedStore], Answered]
    ) -> Pending[Answered]:
        """Begin a question about a store or a collection: after the store's earlier ones."""
        store, name = (at.store, at.id) if isinstance(at, Case) else (at, at)

        def asked() -> Answered:
            with step(f"{what}: {name}"):
                return self._stores[store].ask(question)

        return self._ahead.begin(store, (what, name), asked)

    @cached_property
    def _content_seconds(self) -> Mapping[str, float]:
        """The seconds for the digest of each ``store/collection``, so that all fit into the time."""
        seconds, stores = self._seconds(), self._reading.target.stores
        if seconds == inf:
            return {}
        expected = {
            store: {
                f"{store}/{name}": collection.seconds
                for name, collection in content.collections.items()
                if policy_of(stores[store], name).compares_content
            }
            for store, content in self._reading.baseline().facts.contents.items()
            if store in stores
        }
        return shares_of_stores(expected.values(), seconds, in_turn=self._in_turn)


def _answered(pending: Pending[Answered]) -> Answered | NoAnswer:
    try:
        return pending()
    except (Mismatch, Problem) as wrong:
        return wrong


def findings_on(
    reading: StoreReading,
    without: Collection[Aspect] = (),
    shown: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> list[Finding]:
    """Return the findings on a target's stores, which are read concurrently, except `without` aspects.

    `shown` shows a step, such as ``compare mysql``, while its body runs.
    """
    target, baseline = reading.target, reading.baseline()
    with Observation(reading) as observation:
        for parameter, every in items_of(target, baseline.facts).items():
            if ASPECTS.get(parameter) not in without:
                for at in every:
                    observation.begin(parameter, at)
        judge = Judge(target, baseline, observation)
        found = [*judge.of_profile()]
        for store in target.stores:
            with shown(f"compare {store}"):
                found += judge.of_store(store, without)
        with shown("follow the references between stores"):
            found += judge.of_references(without)
        return found
