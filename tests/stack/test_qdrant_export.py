"""The export of points, against the stack's own Qdrant: their lines write again what was there."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import Unverifiable
from fixtures.stores.profiles import QdrantProfile
from fixtures.stores.qdrant import Rest, path_of
from fixtures.stores.qdrant_content import Content
from fixtures.target import Target
from rollback_actions.stores.qdrant_export import HEADER_FILE, Export
from tests.stack.content_reading import read
from tests.stack.qdrant_scratch import NUMBERS, UUIDS, Scratch, identity
from tests.stack.record_exports import (
    expect_all_exported,
    expect_only_what_is_wanted,
    exported,
    replayed,
    wanted_of,
)
from tests.stack.scratch_stores import changed

POINTS = NUMBERS + UUIDS
PAYLOAD = {"text": 'it\'s "$(id)"\n\u2028ü😀\\n', "large": 2**53 + 1, "small": 5e-324, "nested": [{"": None}]}


@pytest.fixture
def endpoint(target: Target, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(target.stores["qdrant"].address)


@pytest.fixture
def profile(target: Target) -> QdrantProfile:
    store = target.stores["qdrant"]
    assert isinstance(store, QdrantProfile)
    return changed(store, collections=(f"scratch_{uuid.uuid4().hex[:8]}_*",))


@pytest.fixture
def scratch(profile: QdrantProfile, endpoint: Endpoint) -> Iterator[Scratch]:
    made = Scratch(Rest("qdrant", endpoint, profile.operator, 20), profile.collections[0].removesuffix("*"))
    made.fill()
    made.put(7, **PAYLOAD)
    made.put(8, content={})
    # The largest id that there is.
    made.put(9, at=2**64 - 1)
    body = {"points": [9], "vector": ["pages", "terms", "image"]}
    made.rest.call("POST", f"{path_of(made.full)}/points/vectors/delete?wait=true", body)
    points = [
        {"id": number, "vector": [number, 0.1, -3.0, 1 / 3], "payload": None} for number in range(1, 50)
    ]
    made.rest.call("PUT", f"{path_of(made.other)}/points?wait=true", {"points": points})
    yield made
    made.clear()


@pytest.fixture
def content(profile: QdrantProfile, endpoint: Endpoint) -> Content:
    return Content("qdrant", profile, endpoint)


@pytest.fixture
def export(profile: QdrantProfile, endpoint: Endpoint) -> Export:
    return Export("qdrant", profile, endpoint)


def _spoil(scratch: Scratch, collection: str) -> None:
    body: dict[str, object] = {"filter": {}}
    scratch.rest.call("POST", f"{path_of(collection)}/points/delete?wait=true", body)


def test_what_is_written_again_is_what_was_there(
    scratch: Scratch,
    content: Content,
    export: Export,
    profile: QdrantProfile,
    endpoint: Endpoint,
    tmp_path: Path,
) -> None:
    assert profile.operator is not None
    # The other one has the distance Cosine: its vectors are normalised already.
    for collection, count in ((scratch.full, POINTS + 1), (scratch.other, 49)):
        before = read(content, collection)
        assert len(before.records) == count
        records = expect_all_exported(export, content, collection, tmp_path, 7)
        _spoil(scratch, collection)
        assert read(content, collection).records == {}
        url = f"http://{endpoint.host}:{endpoint.port}{path_of(collection)}/points?wait=true"
        headers = {"api-key": profile.operator.key.get_secret_value(), "Content-Type": "application/json"}
        with httpx.Client(headers=headers, trust_env=False, timeout=20) as client:
            for record in records:
                assert client.put(url, content=record.replay).is_success
        assert read(content, collection) == before


def test_the_command_takes_the_lines(
    scratch: Scratch, content: Content, export: Export, profile: QdrantProfile, tmp_path: Path
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine; the lines are sent by another client above")
    assert profile.operator is not None
    before = read(content, scratch.full)
    records = expect_all_exported(export, content, scratch.full, tmp_path, 100)
    _spoil(scratch, scratch.full)
    secret = profile.operator.key.get_secret_value()
    header = tmp_path / "header"
    header.write_text(f"api-key: {secret}")
    done = replayed(export, scratch.full, records, tmp_path, {HEADER_FILE: str(header)})
    assert (done.returncode, done.stderr) == (0, "")
    assert read(content, scratch.full) == before
    assert secret not in export.how_to_replay(scratch.full)
    without = replayed(export, scratch.full, records, tmp_path, {})
    assert without.returncode != 0
    assert "with the line api-key" in without.stderr
    header.write_text("api-key: another")
    refused = replayed(export, scratch.full, records, tmp_path, {HEADER_FILE: str(header)})
    assert refused.returncode != 0
    # It stopped at the first.
    assert refused.stderr.count("curl: ") == 1


def test_people_read_what_a_point_was(
    scratch: Scratch, content: Content, export: Export, tmp_path: Path
) -> None:
    wanted = wanted_of(content, scratch.full, keys={"7"})
    (record,) = exported(export, scratch.full, wanted, tmp_path)
    point = cast("Mapping[str, Any]", record.content)
    assert point["id"] == 7
    assert point["payload"].items() > PAYLOAD.items()
    assert point["vector"].keys() == {"image", "pages", "terms"}


def test_only_what_is_wanted_is_exported(
    scratch: Scratch, content: Content, export: Export, tmp_path: Path
) -> None:
    keys = ["3", "4", str(identity(NUMBERS)), "20", str(2**64 - 1)]

    def spoil() -> None:
        scratch.delete(3)
        scratch.put(4, word="changed")

    expect_only_what_is_wanted(export, content, scratch.full, tmp_path, keys, spoil)


def test_excluded_fields_are_in_the_export(
    scratch: Scratch, profile: QdrantProfile, endpoint: Endpoint, tmp_path: Path
) -> None:
    chosen = changed(profile, exclude={"*": ("text", "vector image", "vector")})
    content, export = Content("qdrant", chosen, endpoint), Export("qdrant", chosen, endpoint)
    records = expect_all_exported(export, content, scratch.full, tmp_path, 100)
    point = cast("Mapping[str, Any]", next(r.content for r in records if r.key == "7"))
    assert point["payload"]["text"] == PAYLOAD["text"]
    assert "image" in point["vector"]
    (unnamed, *_) = expect_all_exported(export, content, scratch.other, tmp_path, 100)
    assert len(cast("Mapping[str, Any]", unnamed.content)["vector"]) == 4


def test_a_collection_that_is_gone_is_unverifiable(scratch: Scratch, export: Export, tmp_path: Path) -> None:
    with pytest.raises(Unverifiable, match="404"):
        exported(export, f"{scratch.name}absent", {0: frozenset({("1", 1)})}, tmp_path)
