"""What one store of a target answers now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from rollproof.baseline.comparison import THE_CANARYS, CollectionComparison
from rollproof.baseline.demands import lost_sight
from rollproof.baseline.facts import RecordedCollection
from rollproof.baseline.folder import Baseline, recorded_collection, recorded_content_of
from rollproof.baseline.recording import plan
from rollproof.collection import Case, Json
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Meaning, Problem, Unverifiable
from rollproof.observation.content import Digests, compare
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.profile import Target
from rollproof.stores.contract import ByUsers, QueryAnswer, Recall, RecordHash, Retention, Selection, Unlisted
from rollproof.stores.policy import by_users_of, pace_of, policy_of
from rollproof.stores.reader import Reader
from rollproof.stores.registry import ReaderOpener, open_reader
from rollproof.system.side_by_side import asked_once

_UNANSWERED = frozenset({Meaning.TIMEOUT, Meaning.UNREACHABLE})
Answered = TypeVar("Answered")


@dataclass(frozen=True, slots=True)
class StoreReading:
    """How a target is read.

    `baseline` returns the baseline that guides the reading of content, or raises `Problem`. `digests_of`
    returns what reads the digests of a collection elsewhere within some seconds, or None where its reader
    does. With `migrated`, a record that has all its fields of before, and new ones, is not a changed record.
    """

    target: Target
    engine: ContainerEngine
    baseline: Callable[[], Baseline]
    digests_of: Callable[[Case, RecordedCollection, float], Digests | None] = lambda *_: None
    migrated: bool = False
    open_reader: ReaderOpener = open_reader


class ObservedStore:
    """One store, which one thread at a time asks; once it fell silent, it is asked no more."""

    def __init__(self, name: str, reading: StoreReading) -> None:
        """Open nothing yet."""
        self._name, self._reading = name, reading
        self._profile = reading.target.stores[name]
        self._reader: Reader | None = None
        self._silent: Problem | None = None
        self._schemas = asked_once(lambda _: self.reader.schemas())

    @property
    def reader(self) -> Reader:
        """The store's reader, opened at its first use."""
        if self._reader is None:
            self._reader = self._open()
        return self._reader

    def _open(self) -> Reader:
        return self._reading.open_reader(self._name, self._profile, self._reading.engine)

    def close(self) -> None:
        """Close the reader."""
        if self._reader is not None:
            self._reader.close()

    def ask(self, question: Callable[[ObservedStore], Answered]) -> Answered:
        """Return the answer to a question; after none, see whether the store answers anything.

        Raises:
            Problem: that of the question, or the one with which the store fell silent.
        """
        if self._silent is not None:
            raise self._silent.with_traceback(None)
        try:
            return question(self)
        except Problem as problem:
            if problem.means in _UNANSWERED:
                self._listen()
            raise

    def _listen(self) -> None:
        """Keep the problem of a store that no longer answers the smallest question."""
        try:
            with self._open() as another:
                another.collections()
        except Problem as problem:
            if problem.means in _UNANSWERED:
                self._silent = problem

    def answer(self) -> QueryAnswer:
        """Return the answer to a query that touches real data."""
        return self.reader.ask()

    def counts(self) -> Mapping[str, int | Unverifiable]:
        """Return each collection's exact count by name, or the problem that came in place of it.

        All are counted together, and one by one only if that fails.
        """
        reader = self.reader
        names = reader.collections()
        try:
            return reader.counts()
        except Unverifiable as problem:
            together = problem
        found: dict[str, int | Unverifiable] = {}
        for name in names:
            # After a failure a connection's state is unknown.
            reader.close()
            try:
                found[name] = reader.count(name)
            except Unverifiable as problem:
                found[name] = problem
                if problem.means in _UNANSWERED:
                    reader.close()
                    reader.collections()  # which touches no record
        if not found:
            raise together
        return found

    def schemas(self) -> Mapping[str, Json]:
        """Return the schemas by name."""
        return self._schemas("")

    def hidden(self) -> Sequence[str]:
        """Return what the account does not see, for lack of a right or though it could at the capture."""
        recorded = recorded_content_of(self._reading.baseline(), self._name)
        return lost_sight(self.reader, self.schemas, recorded)

    def load_state(self, name: str) -> str:
        """Return the load state of a collection of vectors."""
        return self.reader.load_state(name)

    def search(self, name: str) -> Sequence[str] | None:
        """Return the keys that a search in a collection finds; None for one that is empty."""
        return self.reader.search(name)

    def recall(self, name: str) -> Recall | None:
        """Return what searches through a collection's index find of the nearest records."""
        content = recorded_content_of(self._reading.baseline(), self._name)
        return self.reader.recall(name, content.collections[name].queries)

    def position_faults(self) -> Sequence[str]:
        """Return the faults of the recorded positions."""
        return self.reader.position_faults(
            recorded_content_of(self._reading.baseline(), self._name).positions
        )

    def unlisted(self) -> Unlisted | None:
        """Return what the store holds outside of the profile's lists."""
        return self.reader.unlisted()

    def retentions(self) -> Mapping[str, Retention | None]:
        """Return how long each log keeps a record."""
        return self.reader.retentions()

    def comparison(self, name: str, seconds: float = inf) -> CollectionComparison:
        """Compare a collection's records with the recorded ones, in these seconds; keys are in shown form."""
        baseline, profile = self._reading.baseline(), self._profile
        recorded = recorded_collection(baseline, self._reading.target, self._name, name)
        reader, digests = self.reader, None
        if reader.parts_alone:
            digests = self._reading.digests_of(Case(self._name, name), recorded, seconds)
        # Workers leave no part out: what takes them too long is broken, and not sampled.
        expected = 0.0 if digests else recorded.seconds
        by_users = by_users_of(profile, name)
        found = compare(
            reader,
            name,
            recorded,
            baseline.folder / recorded.records,
            plan(len(recorded.division), expected, seconds),
            pace_of(profile),
            _or_extended(by_users) if self._reading.migrated else by_users,
            digests,
            partial(baseline.deletable, profile, name),
        )
        if found.came and not policy_of(profile, name).allows_added:
            self._mark_canarys(name, recorded, found)
        if found.found:
            found.show_keys(self._shown_keys(name, baseline))
        return found

    def _shown_keys(self, name: str, baseline: Baseline) -> Callable[[str], str]:
        now: Json = None
        # Without it the differences are known all the same; their keys are shown as pseudonyms.
        with suppress(Problem):
            now = self.schemas().get(name)
        recorded, known = baseline.facts.contents[self._name].schemas, descriptor_of(self._profile)
        personal = self._reading.target.personal
        return personal.keys(self._name, known.key_fields, known.place_of(name), recorded.get(name), now)

    def _mark_canarys(
        self, name: str, recorded: RecordedCollection, comparison: CollectionComparison
    ) -> None:
        """Mark the added records that the canary has made, by their content, or by their keys alone."""
        wanted = defaultdict[int, set[tuple[str, int]]](set)
        for part, record in comparison.came:
            wanted[part].add((record.key, record.hash))
        selection = Selection(name, recorded.division, {part: frozenset(of) for part, of in wanted.items()})
        found: dict[tuple[str, int], Json] = {}
        if not descriptor_of(self._profile).exports_as_operator:
            # That they were added is known all the same.
            with suppress(Problem), TemporaryDirectory(prefix="rollproof-") as folder:
                records = self.reader.export(selection, Path(folder), pace_of(self._profile))
                found = {(one.key, one.hash): one.content for one in records}
        is_canarys = self._reading.target.application.is_canarys
        for number, (_, record) in enumerate(comparison.came):
            if is_canarys(found.get((record.key, record.hash), record.key)):
                comparison.added.about[number] = THE_CANARYS


def _or_extended(by_users: ByUsers) -> ByUsers:
    """Return `by_users` that also allows a record with all its fields of before, and new ones."""

    def allowed(old: RecordHash, new: RecordHash) -> bool:
        extended = old.fields.keys() < new.fields.keys()
        kept = all(new.fields[field] == value for field, value in old.fields.items() if extended)
        return by_users(old, new) or (extended and kept)

    return allowed
