"""A baseline is whole or refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from pydantic import SecretStr

from rollproof.baseline.facts import (
    Facts,
    RecordedCanary,
    RecordedCollection,
    RecordedContainer,
    RecordedContent,
    RecordedStore,
)
from rollproof.baseline.folder import BaselineDraft, load_baseline
from rollproof.baseline.sight import lost_sight, whole_sight
from rollproof.collection import Json
from rollproof.errors import Unverifiable
from rollproof.stores.blocks import read_block, write_block
from rollproof.stores.contract import ContentView, Digest, Neighbours, RecordHash
from rollproof.system.files import canonical_json
from tests.unit.saved_baseline import save_baseline

FACTS = Facts(
    commit="c" * 40,
    interface="i" * 64,
    containers=(
        RecordedContainer(
            service="backend",
            name="t-backend-1",
            image="t/backend:current",
            image_id="sha256:" + "0" * 64,
            revision="c" * 40,
            configuration=None,
            volumes=(),
        ),
    ),
    stores={"mysql": RecordedStore(kind="mysql", server="MySQL 9.7", counts={"imagedb.users": 500})},
    canary=RecordedCanary(files=("lamp.txt",), grounded_in=("lamp.txt",)),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_baseline(tmp_path, "staging", FACTS)


def _refusal(folder: Path, target: str = "staging") -> str:
    with pytest.raises(Unverifiable) as caught:
        load_baseline(folder, target)
    return str(caught.value)


def test_it_comes_back_as_it_was(folder: Path) -> None:
    assert load_baseline(folder, "staging").facts == FACTS
    assert load_baseline(folder.parent / "current", "staging").id == folder.name


def test_what_was_not_measured_then_is_not_there_and_no_fault(folder: Path) -> None:
    assert not (folder / "milliseconds.json").exists()
    measured = replace(FACTS, milliseconds={"health": 3.25, "page": 1})
    assert load_baseline(save_baseline(folder.parent, "staging", measured), "staging").facts == measured


@pytest.mark.parametrize("milliseconds", [0, -1.5, True, "3", None])
def test_a_time_that_is_none_is_refused(tmp_path: Path, milliseconds: float) -> None:
    facts = replace(FACTS, milliseconds={"health": milliseconds})
    assert "expected facts of version 2" in _refusal(save_baseline(tmp_path, "staging", facts))


def test_current_is_the_last_one(folder: Path) -> None:
    second = save_baseline(folder.parent, "staging", FACTS)
    assert load_baseline(folder.parent / "current", "staging").id == second.name
    assert load_baseline(folder, "staging").id == folder.name


@pytest.mark.parametrize("name", ["stores.json", "containers.json", "release.json", "canary.json"])
def test_every_byte_counts(folder: Path, name: str) -> None:
    path = folder / name
    whole = path.read_bytes()
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 1
        path.write_bytes(changed)
        assert str(path) in _refusal(folder)


@pytest.mark.parametrize("name", ["manifest.json", "stores.json"])
def test_a_cut_or_missing_file_is_refused(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:-2])
    assert str(path) in _refusal(folder)
    path.unlink()
    assert "No such file" in _refusal(folder)


def test_an_added_file_is_refused(folder: Path) -> None:
    (folder / "note.txt").write_text("hello", encoding="utf-8")
    assert "also note.txt" in _refusal(folder)


def test_another_target_is_refused(folder: Path) -> None:
    assert "expected target production, observed staging" in _refusal(folder, "production")


def test_another_version_is_refused(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 3}), encoding="utf-8")
    assert "observed 3 as version, not version 2" in _refusal(folder)


def test_no_baseline_at_all(tmp_path: Path) -> None:
    text = _refusal(tmp_path / "current")
    assert "No such file" in text
    assert "rollproof capture" in text


def test_a_signed_baseline_needs_its_key(tmp_path: Path) -> None:
    key, other = SecretStr("correct horse"), SecretStr("battery staple")
    signed = save_baseline(tmp_path / "signed", "staging", FACTS, key)
    assert load_baseline(signed, "staging", key).facts == FACTS
    with pytest.raises(Unverifiable, match="baseline_key"):
        load_baseline(signed, "staging")
    with pytest.raises(Unverifiable, match="observed another signature"):
        load_baseline(signed, "staging", other)
    unsigned = save_baseline(tmp_path / "unsigned", "staging", FACTS)
    with pytest.raises(Unverifiable, match="observed no signature"):
        load_baseline(unsigned, "staging", key)


def test_whoever_has_no_key_cannot_make_a_change_good(tmp_path: Path) -> None:
    """Every hash is put right again, as someone who means to deceive would: the signature says no."""
    key = SecretStr("correct horse")
    folder = save_baseline(tmp_path, "staging", FACTS, key)
    signature = json.loads((folder / "manifest.json").read_text())["signature"]
    changed = save_baseline(tmp_path, "staging", replace(FACTS, commit="d" * 40))
    manifest = json.loads((changed / "manifest.json").read_text())
    (changed / "manifest.json").write_bytes(canonical_json({**manifest, "signature": signature}))
    with pytest.raises(Unverifiable, match="observed another signature"):
        load_baseline(changed, "staging", key)


def test_what_is_not_finished_is_no_baseline(tmp_path: Path) -> None:
    first = save_baseline(tmp_path, "staging", FACTS)
    with BaselineDraft(tmp_path, "staging") as draft:
        (draft.folder / "records").mkdir()
    assert [path.name for path in tmp_path.iterdir() if not path.is_symlink()] == [first.name]
    assert load_baseline(tmp_path / "current", "staging").id == first.name


def test_content_comes_back_as_it_was(tmp_path: Path) -> None:
    records = [RecordHash("a\n\u2028", 2**59, {"name": 7}, expires=1.5), RecordHash("b", 3)]
    with BaselineDraft(tmp_path, "staging") as draft:
        (draft.folder / "records").mkdir()
        with (draft.folder / "records" / "0000.blocks").open("wb") as stream:
            blocks = (write_block(stream, records[:1]), write_block(stream, records[1:]))
        collection = RecordedCollection(
            division=("", "b"),
            digests=(Digest(1, 2**59), Digest(1, 3)),
            records="records/0000.blocks",
            blocks=blocks,
            excluded=("seen",),
            seconds=0.25,
            golden=(Neighbours((0.5, 1.0), ("a", "b"), (0.9, 0.1)),),
        )
        content = RecordedContent(
            schemas={"users": {"columns": [1, 2.5, None, True]}},
            collections={"users": collection},
            positions={"group": {"0": 5}},
            blind_spots=("none",),
        )
        facts = replace(FACTS, contents={"mysql": content})
        folder = draft.finish(facts)
    loaded = load_baseline(folder, "staging")
    assert loaded.facts == facts
    path = folder / "records" / "0000.blocks"
    assert [record for block in blocks for record in read_block(path, *block)] == records
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert "0000.blocks" in _refusal(folder)


def test_only_a_store_that_may_hide_schemas_is_asked_for_them_to_tell_its_sight() -> None:
    def read() -> Mapping[str, Json]:
        raise AssertionError

    content = cast("ContentView", SimpleNamespace(name="vectors"))
    assert whole_sight(content, read) == ()
    assert lost_sight(content, read, RecordedContent({}, {}, {}, ())) == []
