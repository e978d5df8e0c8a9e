"""Whatever was done to a baseline, loading it says so in two lines: no traceback, no wait, no yes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet
from pydantic import SecretStr

from rollproof.baseline.facts import RecordedCollection, RecordedContent, Summary, Surroundings
from rollproof.baseline.folder import BaselineDraft, load_baseline, read_summary, signature_of
from rollproof.errors import Unverifiable
from rollproof.stores.blocks import new_blocks, read_block, write_block
from rollproof.stores.contract import Digest, RecordHash
from rollproof.system.files import canonical_json
from tests.unit.baseline.test_baseline import FACTS

KEY = SecretStr("correct horse")
MANIFEST = "manifest.json"
BLOCKS = "records/mysql/0000.blocks"
Damage = Callable[[Path], object]


def saved(baselines: Path, key: SecretStr | None = None) -> Path:
    with BaselineDraft(baselines, "staging") as draft:
        with new_blocks(draft.folder / BLOCKS) as stream:
            block = write_block(stream, [RecordHash("a", 1), RecordHash("b", 2)])
        new_blocks(draft.folder / "records/mysql/0001.blocks").close()
        collection = RecordedCollection(("",), (Digest(2, 3),), BLOCKS, (block,), (), 1.0)
        content = RecordedContent({"users": {}}, {"users": collection}, {}, ())
        return draft.finish(replace(FACTS, contents={"mysql": content}), key)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return saved(tmp_path)


Load = Callable[[Path, str, SecretStr | None], object]


def refusal(folder: Path, key: SecretStr | None = None, *, load: Load = load_baseline) -> str:
    with pytest.raises(Unverifiable) as caught:
        load(folder, "staging", key)
    text = str(caught.value)
    assert text.startswith("baseline: expected ")
    assert ", observed " in text
    assert "\nHINT: " in text
    return text


def put_right(folder: Path, change: Callable[[dict[str, Any]], object] = dict, *, key: bool = False) -> None:
    """Change the manifest and put every hash right again, as someone who means to deceive would."""
    path = folder / MANIFEST
    manifest = json.loads(path.read_bytes())
    change(manifest)
    for name, entry in manifest["files"].items() if isinstance(manifest.get("files"), dict) else ():
        if isinstance(entry, dict) and "\0" not in name and (folder / name).is_file():
            data = (folder / name).read_bytes()
            entry |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if key:
        manifest["signature"] = signature_of(manifest, KEY)
    path.write_bytes(canonical_json(manifest))


def replaced(old: bytes, new: bytes) -> Damage:
    def damage(folder: Path) -> None:
        data = (folder / MANIFEST).read_bytes()
        assert old in data
        (folder / MANIFEST).write_bytes(data.replace(old, new, 1))

    return damage


def manifest_of(data: bytes) -> Damage:
    return lambda folder: (folder / MANIFEST).write_bytes(data)


def fact(name: str, data: bytes) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(data)
        put_right(folder)

    return damage


def content(**changes: object) -> Damage:
    """Change a key of the one collection's record."""

    def damage(folder: Path) -> None:
        path = folder / "content" / "mysql.json"
        record = json.loads(path.read_bytes())
        record["collections"]["users"].update(changes)
        path.write_bytes(json.dumps(record).encode())
        put_right(folder)

    return damage


def listed(name: str) -> Damage:
    return lambda folder: put_right(
        folder, lambda manifest: manifest["files"].update({name: {"size": 1, "sha256": ""}})
    )


def numbered(*damages: Damage) -> list[ParameterSet]:
    return [pytest.param(damage, id=str(number)) for number, damage in enumerate(damages)]


def test_whole_it_is_loaded(folder: Path) -> None:
    put_right(folder)
    assert list(load_baseline(folder, "staging").facts.contents) == ["mysql"]


@pytest.mark.parametrize(
    "damage",
    numbered(
        replaced(b'"version": 2', b'"version": NaN'),
        replaced(b'"created": ', b'"x": NaN, "created": '),
        replaced(b'"size": ', b'"size": 1e999, "q": '),
        replaced(b'"version": 2', b'"version": 2' + b"0" * 5000),
        replaced(b'"version": 2', b'"version": 2.0'),
        replaced(b'"created": ', b'"x": ' + b"[" * 300 + b"]" * 300 + b', "created": '),
        manifest_of(b"[" * 200_000),
        manifest_of(b"[]"),
        manifest_of(b"null"),
        manifest_of(b'"\xff"'),
        lambda folder: put_right(folder, lambda manifest: manifest.pop("target")),
        lambda folder: put_right(folder, lambda manifest: manifest.pop("files")),
        lambda folder: put_right(folder, lambda manifest: manifest.pop("created")),
        lambda folder: put_right(folder, lambda manifest: manifest.update(files=[])),
        lambda folder: put_right(folder, lambda manifest: manifest.update(target=["staging"])),
        lambda folder: put_right(folder, lambda manifest: manifest.update(more=1)),
        lambda folder: put_right(folder, lambda manifest: manifest["files"].update({"stores.json": None})),
        listed("a\0b"),
        listed("/etc/hostname"),
        listed("../outside.json"),
        listed("records/../stores.json"),
        listed("./note"),
        listed(MANIFEST),
    ),
)
def test_a_manifest_that_no_capture_writes(folder: Path, damage: Damage) -> None:
    (folder.parent / "outside.json").write_text("{}")
    damage(folder)
    assert str(folder / MANIFEST) in refusal(folder)
    assert str(folder / MANIFEST) in refusal(folder, load=read_summary)


def test_a_manifest_has_each_name_once(folder: Path) -> None:
    replaced(b'"created": ', b'"created": "2001-01-01", "created": ')(folder)
    assert str(folder / MANIFEST) in refusal(folder)


@pytest.mark.parametrize(
    "damage",
    numbered(
        fact("stores.json", b"[1]"),
        fact("stores.json", b'{"mysql": {"kind": "mysql", "server": "s", "counts": {"a": true}}}'),
        fact("stores.json", b'{"mysql": {"kind": "mysql", "server": "s", "counts": {"a": -1}}}'),
        fact("stores.json", b'{"mysql": {"kind": "mysql", "server": "s"}}'),
        fact("stores.json", b'"\xff"'),
        fact("stores.json", b"{"),
        fact("stores.json", b"[" * 100_000),
        fact("release.json", b'{"commit": "a", "commit": "b", "interface": "i"}'),
        fact("release.json", b'{"commit": 1, "interface": "i"}'),
        fact("containers.json", b'[{"service": "s"}]'),
        fact("canary.json", b'{"files": "lamp.txt", "grounded_in": []}'),
        fact("content/mysql.json", b"[]"),
        fact("content/mysql.json", b'{"schemas": {}, "collections": [], "positions": {}, "blind_spots": []}'),
        fact(
            "content/mysql.json",
            b'{"schemas": {"x": ' + b"[" * 300 + b"]" * 300 + b'}, "collections": {}, "positions": {},'
            b' "blind_spots": []}',
        ),
        content(parts=[]),
        content(parts=[["", 2, "3"]]),
        content(parts=[["", 2, 3, 0, 5]]),
        content(parts=[["", 2, "3", 0, 10_000]]),
        content(parts=[["", 2, "3", -1, 5]]),
        content(records="../../../../etc/passwd"),
        content(records="stores"),
        content(excluded="seen"),
        content(seconds="1"),
        content(seconds=float("nan")),
        content(seconds=float("inf")),
        content(golden=[{"vector": [1.0], "keys": ["a"], "scores": []}]),
    ),
)
def test_facts_that_no_capture_writes(folder: Path, damage: Damage) -> None:
    damage(folder)
    assert str(folder) in refusal(folder)


def _moved_and_linked(name: str) -> Damage:
    def damage(folder: Path) -> None:
        outside = folder.parent / "outside"
        (folder / name).rename(outside)
        (folder / name).symlink_to(outside)

    return damage


def _pipe(name: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return damage


def test_a_summary_is_read_without_the_records(folder: Path) -> None:
    """They are gigabytes, of each baseline that is looked at to find the one of a commit."""
    shutil.rmtree(folder / "records")
    assert read_summary(folder, "staging") == Summary(FACTS.commit, None)
    refusal(folder)


def _unlisted(folder: Path) -> None:
    put_right(folder, lambda manifest: manifest["files"].pop("release.json"))


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "damage",
    numbered(
        fact("release.json", b'{"commit": 1, "interface": "i"}'),
        fact("release.json", b'{"commit": "a", "commit": "b", "interface": "i"}'),
        fact("surroundings.json", b'{"key": "k", "engine": 1}'),
        lambda folder: (folder / "release.json").write_text('{"commit": "a", "interface": "i"}'),
        lambda folder: (folder / "release.json").unlink(),
        _moved_and_linked("release.json"),
        _pipe("release.json"),
        _unlisted,
    ),
)
def test_a_summary_that_no_capture_writes(tmp_path: Path, damage: Damage) -> None:
    with BaselineDraft(tmp_path, "staging") as draft:
        folder = draft.finish(replace(FACTS, surroundings=Surroundings("k", engine="AAAA")), None)
    assert read_summary(folder, "staging").engine == "AAAA"
    damage(folder)
    assert str(folder) in refusal(folder, load=read_summary)


def test_a_folder_that_is_none(folder: Path) -> None:
    loop, other = folder.parent / "loop", folder.parent / "other"
    loop.symlink_to(other)
    other.symlink_to(loop)
    for path in (loop, folder / "stores.json", Path("a\0b"), Path("/tmp/" + "a" * 5000)):  # noqa: S108 - not made
        refusal(path)
        refusal(path, load=read_summary)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (_moved_and_linked(MANIFEST), MANIFEST),
        (_moved_and_linked("stores.json"), "stores.json, which is a link"),
        (_moved_and_linked("records"), "records, which is a link"),
        (_moved_and_linked("records/mysql"), "records/mysql, which is a link"),
        (_pipe(MANIFEST), f"/{MANIFEST}"),
        (_pipe("records/mysql/0001.blocks"), "records/mysql/0001.blocks, which is no file"),
        (lambda folder: (folder / "link").symlink_to("/nonexistent"), "also link"),
        (lambda folder: (folder / "link.d").symlink_to("/etc"), "also link.d"),
        (lambda folder: (folder / "empty").mkdir(), "also empty"),
        (lambda folder: (folder / "records" / "redis").mkdir(), "also records/redis"),
        (lambda folder: os.mkfifo(folder / "pipe"), "also pipe"),
        (lambda folder: (folder / ".hidden").write_text(""), "also .hidden"),
    ],
)
def test_nothing_but_the_files_of_the_manifest(folder: Path, damage: Damage, named: str) -> None:
    damage(folder)
    assert named in refusal(folder)


def test_a_signature_is_checked_or_the_baseline_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path, KEY)
    assert load_baseline(folder, "staging", KEY).id == folder.name
    assert "HINT: name the key that it was signed with in the profile: baseline_key" in refusal(folder)
    put_right(folder, lambda manifest: manifest.update(created="x"))
    for load in (load_baseline, read_summary):
        assert "observed another signature" in refusal(folder, KEY, load=load)
        refusal(folder, load=load)
    put_right(folder, key=True)
    assert load_baseline(folder, "staging", KEY).id == folder.name


@pytest.mark.parametrize("signature", ["é", [1], None])
def test_a_signature_that_is_none(tmp_path: Path, signature: object) -> None:
    folder = saved(tmp_path, KEY)
    put_right(folder, lambda manifest: manifest.update(signature=signature))
    refusal(folder, KEY)


def test_it_is_nobody_elses_to_read(folder: Path) -> None:
    modes = {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
    folders = {path.stat().st_mode & 0o777 for path in (folder, *folder.rglob("*")) if path.is_dir()}
    assert (modes, folders) == ({0o600}, {0o700})


@pytest.mark.parametrize(
    "line", [b"[1, 2, null, {}]", b'["a", "2", null, {}]', b'["a", 2, "never", {}]', b'["a"]', b"{", b"5"]
)
def test_a_block_that_is_none(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "0000.blocks"
    for data in (line, zlib.compress(line + b"\n")):
        path.write_bytes(data)
        with pytest.raises(Unverifiable, match="a block of them"):
            list(read_block(path, 0, len(data)))
    with pytest.raises(Unverifiable, match="No such file"):
        list(read_block(tmp_path / "none", 0, 1))
