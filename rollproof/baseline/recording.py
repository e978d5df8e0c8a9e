"""Recording a store: what it says of itself, and its content.

The content is its schemas, and each collection's division, digests and records.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path

from rollproof.baseline.demands import require_whole_sight
from rollproof.baseline.facts import RecordedCollection, RecordedContent, RecordedStore
from rollproof.collection import Json
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ActionFailed, listed
from rollproof.profile.profile import Target
from rollproof.profile.sections import StoreProfile
from rollproof.stores.contract import LOAD_STATE, LOADED
from rollproof.stores.policy import compared_of, excluded_of, pace_of, policy_of
from rollproof.stores.reader import Reader
from rollproof.stores.registry import ReaderOpener, open_reader
from rollproof.stores.snapshot import PART, Snapshot, read_parts
from rollproof.system.side_by_side import each

QUERIES = 3


def record_store(
    target: Target, engine: ContainerEngine, name: str, open_reader: ReaderOpener = open_reader
) -> RecordedStore:
    """Return what the store `name` says of itself; raises `Problem` if it does not answer."""
    with open_reader(name, target.stores[name], engine) as view:
        server = view.ask().server
        return RecordedStore(view.kind, server, dict(view.counts()), view.marks())


def record_content(
    target: Target,
    engine: ContainerEngine,
    store: str,
    counts: Mapping[str, int],
    folder: Path,
    open_reader: ReaderOpener = open_reader,
) -> RecordedContent:
    """Read the content of `store`, write its records below `folder`, and return its description.

    `counts` names its collections. Derived ones, such as a bucket's versions, are found by their schemas.

    Raises:
        Problem: the store does not answer, hides a part from the account, or a counted collection cannot be
            read. Or a collection with policy exact changed while it was read.
    """
    profile = target.stores[store]
    with open_reader(store, profile, engine) as content:
        schemas = content.schemas()
        sight = require_whole_sight(content, lambda: schemas)
        names = compared_of(profile, counts, schemas)
        _require_readable(store, names, schemas)
        file = f"records/{store}.db"

        with Snapshot(folder / file, new=True) as snapshot:

            def recorded(name: str) -> RecordedCollection:
                # Each collection has its own reader: readers share no connection.
                with open_reader(store, profile, engine) as reader:
                    return record_collection(reader, profile, name, snapshot, file)

            found = each(recorded, names, workers=profile.load.connections, name="recording")
        if not all(_is_loaded(schema) for schema in schemas.values()):
            # A collection that was still loading has been read to its end since.
            schemas = content.schemas()
        return RecordedContent(
            schemas=schemas,
            collections=found,
            positions=content.positions(),
            blind_spots=content.blind_spots,
            sight=sight,
            unlisted=content.unlisted(),
        )


def _is_loaded(schema: Json) -> bool:
    return not isinstance(schema, dict) or schema.get(LOAD_STATE, LOADED) == LOADED


def _require_readable(store: str, names: Sequence[str], schemas: Mapping[str, Json]) -> None:
    """Refuse a baseline that would hold a collection's record count without its content."""
    unread = [name for name in names if name not in schemas]
    if unread:
        raise ActionFailed(
            what=f"content of {store}",
            expected="every collection that was counted, unless its policy is volatile",
            observed=f"no schema of {listed(unread)}",
            source=store,
            hint="dropped since it was counted: capture again. Else the reader may not see it: grant it that",
        )


def record_collection(
    content: Reader, profile: StoreProfile, name: str, snapshot: Snapshot, file: str
) -> RecordedCollection:
    """Write one collection's records to `snapshot`, the baseline's `file`, and return its description.

    Raises:
        Problem: the store does not answer, or a collection with policy exact changed while it was read.
    """
    pace = pace_of(profile)
    division = content.divide(name, PART)
    every = range(len(division))
    parts = read_parts(content, name, division, every, pace)
    digests = [snapshot.add(name, part, division[part], records) for part, records in parts]
    started = time.monotonic()
    again = dict(content.digest(name, division, every, pace))
    seconds = time.monotonic() - started
    differing = [part for part in every if again[part] != digests[part]]
    if differing and not policy_of(profile, name).allows_added:
        raise ActionFailed(
            what=f"content of {name}",
            expected="the same digest twice, policy exact",
            observed=f"{len(differing)} of {len(division)} parts changed while they were read",
            source=content.name,
            hint="stop what writes to it, or give it the policy grows or volatile in the profile",
        )
    queries = content.vectors(name, QUERIES)
    return RecordedCollection(
        division=division,
        digests=tuple(digests),
        records=file,
        excluded=tuple(sorted(excluded_of(profile, name))),
        seconds=seconds,
        queries=queries,
        recall=content.recall(name, queries),
    )


CHANGES = (1, 10, 100)
"""Numbers of changed records; the probability of missing all is reported for each."""

_EASILY = 0.25
_LEAST_SHOWN = 0.001


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """The parts to check, in this order, and the most seconds that may take."""

    parts: tuple[int, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """The number of a collection's checked parts, and the number of records in the others.

    `cut` says that time was up before all chosen parts were checked.
    """

    parts: int
    covered: int
    records: int
    unseen: int = 0
    cut: bool = False

    @property
    def whole(self) -> bool:
        """Whether all parts were checked."""
        return self.covered >= self.parts

    @property
    def seen(self) -> int:
        """The number of records in the checked parts."""
        return self.records - self.unseen

    @property
    def percent(self) -> float:
        """The share of the records that were checked."""
        if self.whole:
            return 100.0
        return 100.0 * self.seen / self.records if self.records else 0.0

    def missed(self, changes: int) -> tuple[float, float]:
        """Return the probabilities of having missed `changes` changed records: scattered, and side by side.

        They follow from the records in unchecked parts, not from the number of parts: parts are of unequal
        size. Scattered changes are missed if all lie there; changes side by side, if the first does.
        """
        if self.whole:
            return 0.0, 0.0
        if not self.records:
            return 1.0, 1.0
        scattered = (
            comb(self.unseen, changes) / comb(self.records, changes) if changes <= self.records else 0.0
        )
        return scattered, self.unseen / self.records

    def __str__(self) -> str:
        """Return the coverage in words, with what may have been missed."""
        if self.whole:
            return f"all of {self.records:,} records"
        missed = "; ".join(
            f"{changes}: {_percent(scattered)} scattered, {_percent(together)} side by side"
            for changes in CHANGES
            if changes <= max(self.records, 1)
            for scattered, together in [self.missed(changes)]
        )
        return (
            f"{self.covered} of {self.parts} parts of {self.records:,} records, chosen at random"
            f"{', no more as time was up' if self.cut else ''}; "
            f"probability of having missed changed records, {missed}"
        )


def _percent(probability: float) -> str:
    """Return the percentage with one decimal; only certainty is shown as 0.0% or 100.0%."""
    if 0.0 < probability < _LEAST_SHOWN:
        return f"<{_LEAST_SHOWN:.1%}"
    if 1.0 - _LEAST_SHOWN < probability < 1.0:
        return f">{1.0 - _LEAST_SHOWN:.1%}"
    return f"{probability:.1%}"


def plan(parts: int, expected: float, seconds: float) -> SamplePlan:
    """Return the plan for a collection whose whole digest is `expected` to take that many seconds.

    `seconds` is the collection's share of the time. The plan has as many parts as fit, at least one, and all
    if a small part of the time should do. Their order is random: if the store is slower today and its reading
    is cut short, the parts read are still a random sample.
    """
    plenty = expected <= _EASILY * seconds
    fitting = parts if plenty else min(parts, max(1, int(parts * seconds / expected)))
    return SamplePlan(tuple(random.SystemRandom().sample(range(parts), fitting)), seconds)


def shares(expected: Mapping[str, float], seconds: float) -> dict[str, float]:
    """Divide `seconds` among collections by their `expected` times.

    A collection that needs less than an equal share gets its need, and leaves the rest to the others. Time
    left over is given to all: the store may be slower today.
    """
    given: dict[str, float] = {}
    left = max(seconds, 0.0)
    for position, name in enumerate(sorted(expected, key=expected.__getitem__)):
        given[name] = min(expected[name], left / (len(expected) - position))
        left -= given[name]
    return {name: share + left / len(given) for name, share in given.items()}


def shares_of_stores(
    stores: Iterable[Mapping[str, float]], seconds: float, *, in_turn: bool
) -> dict[str, float]:
    """Divide `seconds` among the collections of stores that are asked `in_turn`, or side by side.

    Each of `stores` has the expected times of its own collections, which are always asked in turn.
    """
    groups = [{name: time for store in stores for name, time in store.items()}] if in_turn else stores
    return {name: share for group in groups for name, share in shares(group, seconds).items()}
