"""Comparing and accounting: every record is counted once, and what did not change is no difference."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from rollproof.baseline import comparison
from rollproof.baseline.comparison import CollectionComparison, compare_records
from rollproof.baseline.recording import Coverage
from rollproof.losses.accounting import RecordFates, account_for
from rollproof.losses.lost_window import pairs
from rollproof.stores.contract import RecordHash
from rollproof.stores.snapshot import Snapshot, differences
from tests.unit.laws.made_up import records


def compared(before: Sequence[RecordHash], now: Sequence[RecordHash]) -> CollectionComparison:
    found = CollectionComparison(Coverage(1, 1, len(before)))
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
def test_what_is_kept_in_a_file_comes_back(one: list[RecordHash], other: list[RecordHash]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "records.db"
        with Snapshot(path, new=True) as snapshot:
            written = [snapshot.add("c", number, "", part) for number, part in enumerate((one, other))]
        with Snapshot(path) as snapshot:
            found = [list(snapshot.records("c", number)) for number in (0, 1)]
            assert [part.digest for part in snapshot.parts("c")] == written
    assert [sorted(map(repr, part)) for part in found] == [sorted(map(repr, part)) for part in (one, other)]


@given(records, records)
def test_what_was_written_and_what_is_gone(before: list[RecordHash], now: list[RecordHash]) -> None:
    found = list(differences(before, now))
    gone, come = ([r for one in found for r in getattr(one, side)] for side in ("gone", "come"))
    # What is left of the one, and what came, is the other.
    assert pairs(before) - pairs(gone) + pairs(come) == pairs(now)
    assert matched(gone, come) == 0
    assert sum(one.same for one in found) == matched(before, now)


def accounted(
    held: list[RecordHash], exported: list[RecordHash], now: list[RecordHash]
) -> tuple[RecordFates, list[RecordHash]]:
    revived = list[RecordHash]()
    return account_for("words", held, now, exported, revived.append), revived


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
    assert not {record.key for record in revived} & {record.key for record in held}
    assert account.first.count == account.unaccounted


@given(records, records, st.data())
def test_what_is_gone_is_unaccounted_unless_it_was_exported(
    held: list[RecordHash], now: list[RecordHash], data: st.DataObject
) -> None:
    lasting = [RecordHash(record.key, record.hash) for record in held]
    gone = [record for found in differences(lasting, now) for record in found.gone]
    exported = data.draw(st.lists(st.sampled_from(range(len(gone))), unique=True)) if gone else []
    account, _ = accounted(lasting, [gone[number] for number in exported], now)
    assert (account.exported, account.unaccounted) == (len(exported), len(gone) - len(exported))
