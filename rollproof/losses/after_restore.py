"""The faults that a restore will leave, as far as it can be known before.

Records of the baseline that the backup lacks, and references between a store that goes back and one that
stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rollproof.backups.index import every_field, read_index
from rollproof.backups.sets import BackupSet
from rollproof.baseline.comparison import Comparison, compare_records
from rollproof.baseline.facts import RecordedCollection, whole_digest
from rollproof.baseline.folder import Baseline
from rollproof.baseline.sampling import Coverage
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Problem
from rollproof.losses.changes import Written
from rollproof.losses.written import count_written
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.profile import Target
from rollproof.profile.sections import Policy, Reference
from rollproof.stores.policy import pace_of, policy_of
from rollproof.stores.references import collections_at
from rollproof.stores.registry import open_reader
from rollproof.stores.snapshot import Snapshot
from rollproof.system.side_by_side import every


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A collection that a restore cannot make equal to the baseline, and in what it will differ, in words."""

    store: str
    collection: str
    text: str


def unmatched(
    target: Target, baseline: Baseline, backup: BackupSet, stores: Sequence[str]
) -> Iterator[Unmatched]:
    """Yield the collections of `stores` that phase 4 will find wrong after a restore of `backup`.

    Only hashes are read: those of the baseline, and of the backup's index. Collections that the baseline
    recorded without some fields are compared by their number of records.
    """
    for store in stores:
        recorded = baseline.facts.contents.get(store)
        if recorded is None:
            continue
        try:
            index = read_index(backup.folder, store, backup.index)
        except Problem as problem:
            yield Unmatched(store, "", f"not known: {problem.summary}")
            continue
        with index:
            for name, collection in recorded.collections.items():
                policy = policy_of(target.stores[store], name)
                # An index has the collections that are counted, and a bucket's versions are not among them.
                if policy == "volatile" or descriptor_of(target.stores[store]).history_of(name) is not None:
                    continue
                try:
                    text = _difference(baseline, index, name, collection, policy)
                except Problem as problem:
                    text = f"not known: {problem.summary}"
                if text:
                    yield Unmatched(store, name, text)


def _difference(
    baseline: Baseline, index: Snapshot, name: str, recorded: RecordedCollection, policy: Policy
) -> str:
    """Return the forbidden differences of the backup's collection `name`, or ""."""
    parts = index.parts(name)
    if not parts:
        return "absent from the backup"
    before, held = whole_digest(recorded.digests), whole_digest(part.digest for part in parts)
    if recorded.excluded:
        # The index holds all fields, so its hashes are others.
        fewer = held.records < before.records
        wrong = fewer or (policy == "exact" and held.records != before.records)
        return f"{held.records:,} records, {before.records:,} in the baseline" if wrong else ""
    if held == before:
        return ""
    comparison = Comparison(Coverage(len(parts), len(parts), before.records, 0, cut=False))
    with Snapshot(baseline.folder / recorded.records) as records:
        compare_records(records.records(name), index.records(name), comparison)
    if not comparison.wrong(policy):
        return ""
    kinds = {"missing": comparison.missing, "changed": comparison.changed, "added": comparison.added}
    counts = [f"{keys.count:,} {kind}" for kind, keys in kinds.items() if keys.count]
    return f"{', '.join(counts)} records, beside the baseline's"


@dataclass(frozen=True, slots=True)
class Dangling:
    """A reference that a restore may leave dangling.

    `lost` is the number of records that its referenced collection will lack, or the reason why that is not
    known. `goes_back` says whether the referenced store goes back; otherwise the referencing one does.
    """

    name: str
    reference: Reference
    lost: int | str
    goes_back: bool


def dangling(
    target: Target, engine: ContainerEngine, backup: BackupSet, stores: Sequence[str]
) -> Iterator[Dangling]:
    """Yield the references of which one side goes back to `backup` with `stores` while the other side stays.

    References whose referenced collection has lost nothing by that are left out. Records that came since the
    backup are lost if it goes back. Records deleted since are missing if only the referencing side goes back.
    """
    parted = {
        name: reference
        for name, reference in target.references.items()
        if (reference.referencing.store in stores) != (reference.referenced.store in stores)
    }

    def counted(place: tuple[str, str]) -> Written | str:
        try:
            return _written(target, engine, backup, *place)
        except Problem as problem:
            return f"not known: {problem.summary}"

    places = {
        name: (reference.referenced.store, reference.referenced.collection)
        for name, reference in parted.items()
    }
    # Several references may name one collection: it is read once.
    found: Mapping[tuple[str, str], Written | str] = every(
        counted, dict.fromkeys(places.values()), name="references"
    )
    for name, reference in parted.items():
        written, goes_back = found[places[name]], reference.referenced.store in stores
        lost = (
            written
            if isinstance(written, str)
            else written.changed + (written.new if goes_back else written.gone)
        )
        if lost:
            yield Dangling(name, reference, lost, goes_back)


def _written(
    target: Target, engine: ContainerEngine, backup: BackupSet, store: str, collection: str
) -> Written:
    profile = every_field(target.stores[store])
    with (
        read_index(backup.folder, store, backup.index) as index,
        open_reader(store, profile, engine) as content,
    ):
        total = Written()
        for name in collections_at(collection, lambda: {*content.collections(), *index.collections()}):
            total += count_written(content, name, index, pace_of(profile))
        return total
