"""Comparing and accounting: every record is counted once, and what did not change is no difference."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollproof.baseline import comparison
from rollproof.baseline.comparison import Comparison, compare_part, compare_records
from rollproof.baseline.sampling import Coverage
from rollproof.losses import accounting
from rollproof.losses.accounting import Account
from rollproof.losses.changes import Written, difference, pairs
from rollproof.stores.blocks import read_block, spread, write_block
from rollproof.stores.contract import RecordHash
from tests.unit.laws.made_up import records


def compared(before: Sequence[RecordHash], now: Sequence[RecordHash]) -> Comparison:
    found = Comparison(Coverage(1, 1, len(before)))
    compare_records(iter(before), iter(now), found)
    return found


def matched(one: Sequence[RecordHash], other: Sequence[RecordHash]) -> int:
    return (pairs(one) & pairs(other)).total()


def names(found: comparison.Keys) -> Counter[str]:
    return Counter(found.first)


@given(records)
def test_what_did_not_change_is_no_difference(before: list[RecordHash]) -> None:
    found = compared(before, before[::-1])
    assert (found.found, str(found)) == (0, "nothing")
    assert difference(before, before[::-1]) == difference([], [])


@given(records, records)
def test_what_differs_is_counted_once(before: list[RecordHash], now: list[RecordHash]) -> None:
    found, same = compared(before, now), matched(before, now)
    assert found.missing.count + found.expired + found.changed.count == len(before) - same
    assert found.added.count + found.changed.count == len(now) - same
    # All that expires has done so long ago.
    assert found.expired <= sum(record.expires is not None for record in before)


@given(records, records)
def test_what_one_lacks_the_other_has_besides(one: list[RecordHash], other: list[RecordHash]) -> None:
    lasting = [
        [RecordHash(record.key, record.hash, record.fields) for record in side] for side in (one, other)
    ]
    there, back = compared(*lasting), compared(*lasting[::-1])
    assert names(there.missing) == names(back.added)
    assert names(there.added) == names(back.missing)
    assert names(there.changed) == names(back.changed)


@given(records, records)
def test_a_part_that_goes_through_files_differs_alike(
    before: list[RecordHash], now: list[RecordHash]
) -> None:
    found = Comparison(Coverage(1, 1, len(before)))
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(comparison, "IN_MEMORY", 2)
        compare_part(before, now, len(before), found)
    expected = compared(before, now)
    for kind in ("missing", "added", "changed"):
        assert names(getattr(found, kind)) == names(getattr(expected, kind))
    assert found.expired == expected.expired


@given(records, records, st.integers(1, 4))
def test_what_is_kept_in_files_comes_back(one: list[RecordHash], other: list[RecordHash], count: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "blocks"
        with path.open("wb") as stream:
            blocks = [write_block(stream, records) for records in (one, other)]
        assert [list(read_block(path, *block)) for block in blocks] == [one, other]
        files = [list(records) for records in spread(one, Path(folder) / "spread", count)]
    assert sorted(map(repr, chain.from_iterable(files))) == sorted(map(repr, one))
    keys = [{record.key for record in records} for records in files]
    assert sum(map(len, keys)) == len(set().union(*keys))


@given(records, records)
def test_what_was_written_and_what_is_gone(before: list[RecordHash], now: list[RecordHash]) -> None:
    found = difference(before, now)
    # What is left of the one, and what came, is the other.
    assert pairs(before) - pairs(found.gone) + pairs(found.written) == pairs(now)
    assert matched(found.gone, found.written) == 0
    counted = Written()
    changed = counted.add(found)
    written = [record.key for record in found.written if record.key not in changed]
    assert (counted.new, counted.changed) == (len(written), len(changed))


def accounted(
    held: list[RecordHash], exported: list[RecordHash], now: list[RecordHash]
) -> tuple[Account, list[str]]:
    account, revived = Account(), list[str]()
    collection = cast("Any", SimpleNamespace(_collection="words"))
    accounting._Collection._account(
        collection, held, exported, now, account, lambda _, key: revived.append(key)
    )
    return account, revived


def test_only_what_has_expired_by_now_is_expired() -> None:
    past, later = time.time() - 60, time.time() + 3600
    held = [RecordHash("gone", 1, {}, past), RecordHash("early", 2, {}, later), RecordHash("lasting", 3)]
    account, _ = accounted(held, [], [])
    assert (account.expired, account.unaccounted) == (1, 2)
    assert set(account.first.first) == {"words early", "words lasting"}
    found = compared(held, [])
    assert found.expired == 1
    assert set(found.missing.first) == {"early", "lasting"}


@given(records, records, records)
def test_every_record_is_accounted_for_once(
    held: list[RecordHash], exported: list[RecordHash], now: list[RecordHash]
) -> None:
    account, revived = accounted(held, exported, now)
    assert account.kept + account.exported + account.expired + account.unaccounted == len(held)
    assert account.kept + account.restored + account.revived == len(now)
    assert account.kept == matched(held, now)
    assert account.revived == len(revived)
    assert not set(revived) & {record.key for record in held}
    assert account.first.count == account.unaccounted


@given(records, records, st.data())
def test_what_is_gone_is_unaccounted_unless_it_was_exported(
    held: list[RecordHash], now: list[RecordHash], data: st.DataObject
) -> None:
    lasting = [RecordHash(record.key, record.hash) for record in held]
    gone = list(difference(lasting, now).gone)
    exported = data.draw(st.lists(st.sampled_from(range(len(gone))), unique=True)) if gone else []
    account, _ = accounted(lasting, [gone[number] for number in exported], now)
    assert (account.exported, account.unaccounted) == (len(exported), len(gone) - len(exported))
