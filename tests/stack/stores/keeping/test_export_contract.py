"""Every store's export: what is put back from it is what was there, as far as it was wanted."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rollback_actions.outside import Outside
from rollback_actions.rollback import replay
from rollback_actions.rollback.deletions import NOT_SINGLY, delete_revived
from rollproof.errors import Unverifiable
from rollproof.losses import lost_window
from rollproof.losses.lost_window import LostWindow, find_exported, write_window
from rollproof.profile.profile import Target
from rollproof.stores.contract import ExportedRecord, Pace, Selection
from rollproof.stores.reader import Reader
from rollproof.system.command import Deadline
from tests.stack.stores.keeping.answers import place_that, ways_of
from tests.stack.stores.keeping.records import exported, put_back, wanted_of
from tests.stack.stores.place import WRONG, Exported
from tests.stack.stores.subject import Subject


def _made(subject: Subject, collection: str = "") -> Exported:
    """Make `collection`, or the first one, in an empty place."""
    subject.wipe()
    return subject.exported[collection or next(iter(subject.exported))](subject)


def _seen(content: Reader, made: Exported) -> Counter[object]:
    return Counter(made.stays(record) for _, record in content.records(made.name, ("",), [0], Pace()))


def _expect_all(export: Reader, content: Reader, made: Exported, folder: Path) -> list[ExportedRecord]:
    """Export every record, in several parts: each comes as often as it is there."""
    division = content.divide(made.name, made.size)
    wanted = wanted_of(content, made.name, division)
    records = exported(export, made.name, wanted, folder, division)
    there = content.records(made.name, division, range(len(division)), Pace())
    assert Counter((record.key, record.hash) for record in records) == Counter(
        (record.key, record.hash) for _, record in there
    )
    return records


def test_what_is_written_again_is_what_was_there(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    for number, collection in enumerate(subject.exported):
        folder = tmp_path / str(number)
        folder.mkdir()
        with subtests.test(collection), monkeypatch.context() as patch:
            made = _made(subject, collection)
            if made.small:
                subject.small(patch)
            _expect_written_again(subject, made, folder)


def _expect_written_again(subject: Subject, made: Exported, folder: Path) -> None:
    with subject.place.content() as content, subject.place.export() as export:
        before, exact = _seen(content, made), made.exact()
        assert before
        records = _expect_all(export, content, made, folder)
        made.look(records, folder)
        made.damage()
        assert not before & _seen(content, made)
        put_back(subject.place, made.name, records, folder)
        assert _seen(content, made) == before
        assert made.exact() == exact


def test_a_replay_puts_back_what_is_not_there_and_another_one_nothing(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, place = _made(subject), subject.place
    monkeypatch.setattr(lost_window, "existing_collections", lambda *_: [made.name])
    outside = Outside(lambda *_, **__: place.content(), lambda *_: place.export(), lambda *_: place.keeper())
    target, nothing = cast("Target", SimpleNamespace(stores={place.name: place.profile})), cast("Any", None)
    folder = tmp_path / place.name
    window = lost_window.export_store(
        target,
        nothing,
        place.name,
        None,
        (),
        folder,
        Deadline(240),
        outside.open_reader,
        outside.open_exporter,
    )
    assert not window.unknown
    write_window(tmp_path, LostWindow("backup", {place.name: window}, folder=tmp_path))
    file = find_exported(folder / window.collections[made.name].file)
    with place.content() as content:
        before, exact = _seen(content, made), made.exact()
        made.damage()
        for overwrite in (True, False):
            found = replay.put_back(target, nothing, nothing, file, outside, overwrite=overwrite)
            assert (found.records, found.left) == (before.total(), ())
            assert _seen(content, made) == before
    assert made.exact() == exact


def test_what_came_back_is_deleted_again(subject: Subject, subtests: pytest.Subtests) -> None:
    place, nothing = subject.place, cast("Any", None)
    outside = Outside(lambda *_, **__: place.content(), lambda *_: place.export(), lambda *_: place.keeper())
    target = cast("Target", SimpleNamespace(stores={place.name: place.profile}))
    for collection in subject.exported:
        with subtests.test(collection):
            made = _made(subject, collection)
            with place.content() as content:
                (there,) = wanted_of(content, made.name).values()
                spared = min(there)
                revived = {made.name: there - {spared} | {("never", 1)}}
                found = delete_revived(target, nothing, nothing, place.name, revived, outside)
                left = wanted_of(content, made.name)[0]
            if found.left:
                assert set(found.left.values()) == {NOT_SINGLY}
                assert left == there
            else:
                assert left == {spared}


def test_only_what_is_wanted_and_still_there(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    with subtests.test("as it is"):
        _expect_only_wanted(subject, tmp_path)
    if subject.sizes:
        subject.small(monkeypatch)
        with subtests.test("small requests"):
            _expect_only_wanted(subject, tmp_path)


def _expect_only_wanted(subject: Subject, tmp_path: Path) -> None:
    subject.wipe()
    chosen = subject.choose()
    with subject.place.content() as content, subject.place.export() as export:
        division = content.divide(chosen.name, chosen.size)
        assert len(division) > 1
        nothing = {part: frozenset[tuple[str, int]]() for part in range(len(division))}
        wanted = nothing | wanted_of(content, chosen.name, division, chosen.keys)

        def keys() -> list[str]:
            found = exported(export, chosen.name, wanted, tmp_path, division)
            return sorted(record.key for record in found)

        assert keys() == sorted(chosen.keys)
        chosen.spoil()
        assert keys() == sorted(chosen.left)


@pytest.mark.of("mongodb", "mysql", "redis")
def test_a_record_that_is_there_is_not_replaced_unasked(subject: Subject, tmp_path: Path) -> None:
    made = _made(subject)
    with subject.place.content() as content, subject.place.export() as export:
        records = _expect_all(export, content, made, tmp_path)
        made.damage()
        changed = _seen(content, made)
        there = {record.key for _, record in content.records(made.name, ("",), [0], Pace())}
        refused = [record for record in records if record.key in there]
        assert refused
        for record in refused:
            with pytest.raises(Unverifiable):
                put_back(subject.place, made.name, [record], tmp_path, overwrite=False)
        assert _seen(content, made) == changed


def test_fields_that_digests_leave_out_are_exported(subject: Subject, tmp_path: Path) -> None:
    made = _made(subject)
    less = subject.place.but(exclude={made.name: subject.undigested})
    with less.content() as content, less.export() as export, subject.place.content() as whole:
        before = _seen(whole, made)
        assert _seen(content, made) != before
        records = _expect_all(export, content, made, tmp_path)
        made.damage()
        put_back(subject.place, made.name, records, tmp_path)
        assert _seen(whole, made) == before


def test_people_can_read_it(subject: Subject, tmp_path: Path) -> None:
    made = _made(subject)
    with subject.place.content() as content, subject.place.export() as export:
        wanted = wanted_of(content, made.name, keys=subject.readable)
        found = {record.key: record.content for record in exported(export, made.name, wanted, tmp_path)}
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found.keys() == subject.readable.keys()
    for key, shown in subject.readable.items():
        content_of_key = found[key]
        assert isinstance(content_of_key, dict)
        assert {name: content_of_key[name] for name in shown} == shown


def test_a_caller_may_stop(subject: Subject, tmp_path: Path) -> None:
    made = _made(subject)
    with subject.place.content() as content, subject.place.export() as export:
        wanted = wanted_of(content, made.name)
        selection = Selection(made.name, ("",), wanted)
        with closing(export.export(selection, tmp_path, Pace())) as stopping:  # type: ignore[type-var]
            next(stopping)
        found = exported(export, made.name, wanted, tmp_path)
        assert {(record.key, record.hash) for record in found} == wanted[0]


@pytest.mark.only("unexported")
def test_a_collection_that_is_gone_is_no_export(subject: Subject, tmp_path: Path) -> None:
    with subject.place.export() as export, pytest.raises(Unverifiable):
        exported(export, subject.unexported, {0: frozenset({("1", 1)})}, tmp_path)


@pytest.mark.only("served")
def test_a_server_that_does_not_answer_is_no_export(
    subject: Subject, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    name = _made(subject).name
    for way in ways_of(subject):
        with subtests.test(way), place_that(subject.place, way) as away, away.export() as export:
            with pytest.raises(Unverifiable, match="HINT: ") as failure:
                exported(export, name, {0: frozenset({("1", 1)})}, tmp_path)
            for secret in (WRONG, *subject.place.secrets()):
                assert secret not in str(failure.value)
