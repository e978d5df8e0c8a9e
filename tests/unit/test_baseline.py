"""A baseline is whole or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures.baseline import load_baseline, save_baseline
from fixtures.errors import Unverifiable
from fixtures.recorded import Facts, RecordedCanary, RecordedContainer, RecordedStore

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


def test_current_is_the_last_one(folder: Path) -> None:
    second = save_baseline(folder.parent, "staging", FACTS)
    assert load_baseline(folder.parent / "current", "staging").id == second.name
    assert load_baseline(folder, "staging").id == folder.name


@pytest.mark.parametrize(
    "name", ["manifest.json", "stores.json", "containers.json", "release.json", "canary.json"]
)
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
    assert "expected version 2, observed version 3" in _refusal(folder)


def test_no_baseline_at_all(tmp_path: Path) -> None:
    text = _refusal(tmp_path / "current")
    assert "No such file" in text
    assert "rollback_actions capture" in text
