"""How a collection's records differ from the recorded ones, and which fields of them changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rollproof.baseline.recording import Coverage
from rollproof.errors import Unverifiable
from rollproof.profile.sections import Policy
from rollproof.stores.contract import ByUsers, RecordHash, nobody
from rollproof.stores.snapshot import Snapshot, differences

SHOWN = 20
THE_CANARYS = "the canary's"
"""The remark about an added record that the canary has made."""


@dataclass(slots=True)
class Keys:
    """Keys of records: their count, and the first few; `about` has a remark or "" for each."""

    count: int = 0
    first: list[str] = field(default_factory=list)
    about: list[str] = field(default_factory=list)

    def add(self, key: str, about: str = "") -> None:
        """Count a key, and keep it while there are few."""
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(key)
            self.about.append(about)

    def __str__(self) -> str:
        """Return the first keys, and how many more there are."""
        more = f" and {self.count - len(self.first)} more" if self.count > len(self.first) else ""
        pairs = zip(self.first, self.about, strict=True)
        return ", ".join(f"{key}: {about}" if about else key for key, about in pairs) + more


@dataclass(slots=True)
class CollectionComparison:
    """A collection's differences from the baseline.

    `touched` are the changed records that users changed themselves, as `by_users` tells. `expired` counts
    missing records whose expiry time has passed. `unread` counts differing parts that were
    not read record by record, because time was up. `unexplained` counts parts that differed at first, and
    matched when read again. `coverage` says how much of the collection was checked, `evidence` how
    its digests were read, if not here. `came` are the first added records, each with its part; `part` is the
    one that is compared. So many missing records as are `deletable` may be users' deletions.
    """

    coverage: Coverage
    missing: Keys = field(default_factory=Keys)
    added: Keys = field(default_factory=Keys)
    changed: Keys = field(default_factory=Keys)
    touched: Keys = field(default_factory=Keys)
    expired: int = 0
    unread: int = 0
    unexplained: int = 0
    evidence: str = ""
    by_users: ByUsers = nobody
    deletable: int = 0
    part: int = field(default=0, compare=False)
    came: list[tuple[int, RecordHash]] = field(default_factory=list, compare=False)

    def add(self, record: RecordHash) -> None:
        """Count an added record, and keep it while there are few."""
        self.added.add(record.key)
        if len(self.came) < SHOWN:
            self.came.append((self.part, record))

    @property
    def is_canarys(self) -> bool:
        """Whether nothing differs but that records were added, each of which is marked as the canary's."""
        return self.found == self.added.count == self.added.about.count(THE_CANARYS) > 0

    def wrong(self, policy: Policy) -> bool:
        """Return True if the collection differs in a way that `policy` forbids.

        Raises:
            Unverifiable: records read differ at most in allowed ways, but a part differs in unknown records.
        """
        if self.lost or self.changed.count or (self.added.count and not policy.allows_added):
            return True
        if self.unread or self.unexplained:
            raise Unverifiable(
                what="records of parts that differ",
                expected=f"differences that policy {policy} allows",
                observed=str(self),
                source=str(self.coverage),
                hint="see that nothing writes to the collection, and compare again with more time",
            )
        return False

    @property
    def lost(self) -> int:
        """The number of missing records; 0 if users may have deleted as many."""
        return self.missing.count if self.missing.count > self.deletable else 0

    @property
    def users_policy(self) -> Policy:
        """The strictest policy that lets users make all these differences."""
        if self.missing.count:
            return Policy.DELETES
        if self.changed.count:
            return Policy.CHANGES
        return Policy.GROWS if self.added.count else Policy.EXACT

    @property
    def found(self) -> int:
        """The number of differences with a known record."""
        return self.expired + sum(keys.count for _, keys in self._kinds)

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Yield kind of difference, key, and changed fields for the first records that differ.

        Only changed records name fields. Where a kind has further records, its last row counts them.
        """
        for name, keys in self._kinds:
            yield from ((name, key, fields) for key, fields in zip(keys.first, keys.about, strict=True))
            if keys.count > len(keys.first):
                yield name, f"and {keys.count - len(keys.first)} more", ""

    def show_keys(self, shown: Callable[[str], str]) -> None:
        """Replace each key by its form from `shown`: it may be personal data."""
        for _, keys in self._kinds:
            keys.first = [shown(key) for key in keys.first]

    @property
    def by_people(self) -> str:
        """The records that came, and that users changed or deleted, in words; "" for none."""
        kinds = {"added": self.added, "touched": self.touched}
        if self.deletable:
            kinds["deleted"] = self.missing
        return "; ".join(f"{keys.count} {name} ({keys})" for name, keys in kinds.items() if keys.count)

    @property
    def _kinds(self) -> list[tuple[str, Keys]]:
        return [(name, getattr(self, name)) for name in ("missing", "added", "changed", "touched")]

    def __str__(self) -> str:
        """Return the differences in words: first how many of each kind, which no shortening may cut off."""
        parts = []
        if self.found > self.expired:
            counts = [f"{keys.count} {name}" for name, keys in self._kinds if keys.count or name != "touched"]
            examples = [f"{name} {keys}" for name, keys in self._kinds if keys.count]
            parts.append(f"{', '.join(counts)} ({'; '.join(examples)})")
        if self.unread:
            parts.append(f"{self.unread} more parts differ, not read record by record: time was up")
        if self.unexplained:
            parts.append(f"{self.unexplained} parts differed, and no more when read again")
        if self.expired:
            parts.append(f"{self.expired} expired by themselves")
        return "; ".join(parts) or "nothing"


def expired_by_now(records: Path, collection: str) -> int:
    """Return how many of a collection's recorded records have expired since; reads the baseline alone.

    Raises:
        Unverifiable: `records` is no file of records.
    """
    now = time.time()
    with Snapshot(records) as snapshot:
        return sum(one.expires is not None and one.expires <= now for one in snapshot.records(collection))


def compare_records(
    before: Iterable[RecordHash], now: Iterable[RecordHash], comparison: CollectionComparison
) -> None:
    """Add the differences of two sets of records to `comparison`. A key may occur more than once."""
    today = time.time()
    for found in differences(before, now):
        for one, another in zip(found.gone, found.come, strict=False):
            keys = comparison.touched if comparison.by_users(one, another) else comparison.changed
            keys.add(found.key, _fields(one.fields, another.fields))
        for record in found.gone[len(found.come) :]:
            if record.expires is not None and record.expires <= today:
                comparison.expired += 1
            else:
                comparison.missing.add(found.key)
        for record in found.come[len(found.gone) :]:
            comparison.add(record)


def _fields(old: Mapping[str, int], new: Mapping[str, int]) -> str:
    """Return the differing fields in words."""
    words = [
        *(f"{name} gone" for name in old if name not in new),
        *(f"{name} new" for name in new if name not in old),
        *(name for name in old if name in new and old[name] != new[name]),
    ]
    order = "the order of its fields" if [*old] != [*new] else "in a way that no field shows"
    return ", ".join(words) or order
