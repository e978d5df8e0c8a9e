"""The export of entities, against the stack's own Milvus: their lines write again what was there."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from pymilvus import DataType

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import Unverifiable
from fixtures.stores.milvus import connect
from fixtures.stores.milvus_content import Content
from fixtures.stores.profiles import MilvusProfile
from fixtures.stores.reach import NOBODY, Reach
from fixtures.target import Target
from rollback_actions.stores.milvus_export import PASSWORD, Export
from tests.stack.content_reading import read
from tests.stack.milvus_content_scratch import ENTITIES, Scratch, entity, vector
from tests.stack.milvus_scratch import SECONDS
from tests.stack.record_exports import (
    expect_all_exported,
    expect_only_what_is_wanted,
    exported,
    replayed,
    wanted_of,
)
from tests.stack.scratch_stores import changed

SMALLEST = -(2**63)
ODD_KEYS = ("", " ", 'a"b', "a'b", "a\\b", "a\nb", "\u0001", "%", "ü", "😀", "A", "a", "a ", "$(id)")
ODD = {
    "word": 'it\'s "$(id)"\n\u2028ü😀\\n',
    "json": {"b": 2**53 + 1, "a": [1, 1.0, None, {"": "1"}]},
    "double": 5e-324,
    "single": 0.1,
    "vector": [0.1, -1 / 3, 1e-38, 3e38],
    "own": 2**53 + 1,
    "another own": [{"base64": "no"}],
}


@pytest.fixture(scope="module")
def endpoint(target: Target, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(target.stores["milvus"].address)


@pytest.fixture(scope="module")
def profile(target: Target) -> MilvusProfile:
    store = target.stores["milvus"]
    assert isinstance(store, MilvusProfile)
    return changed(store, collections=(f"scratch_{uuid.uuid4().hex[:8]}_*",))


@pytest.fixture(scope="module")
def made(profile: MilvusProfile, endpoint: Endpoint) -> Iterator[Scratch]:
    reach = Reach("milvus", endpoint, profile.operator or NOBODY, SECONDS)
    scratch = Scratch(connect(reach, profile.database), profile.collections[0].removesuffix("*"))
    scratch.create_full()
    yield scratch
    scratch.clear()
    scratch.client.close()


@pytest.fixture
def scratch(made: Scratch) -> Iterator[Scratch]:
    """The collection of the module with two odd entities; mended at the end of each test."""
    made.put(entity(7, **ODD), entity(SMALLEST, whole=0))
    yield made
    made.client.delete(made.full, filter="pk < 0", timeout=SECONDS)
    made.mend()


@pytest.fixture
def other(made: Scratch) -> Iterator[str]:
    """The name of a collection that a test makes."""
    yield made.other
    made.client.drop_collection(made.other, timeout=SECONDS)


@pytest.fixture
def content(profile: MilvusProfile, endpoint: Endpoint) -> Iterator[Content]:
    with Content("milvus", profile, endpoint) as opened:
        yield opened


@pytest.fixture
def export(profile: MilvusProfile, endpoint: Endpoint) -> Iterator[Export]:
    with Export("milvus", profile, endpoint) as opened:
        yield opened


@pytest.fixture
def environment(profile: MilvusProfile) -> dict[str, str]:
    assert profile.operator is not None
    return {PASSWORD: profile.operator.password.get_secret_value()}


def test_what_is_written_again_is_what_was_there(
    scratch: Scratch, content: Content, export: Export, environment: dict[str, str], tmp_path: Path
) -> None:
    before = read(content, scratch.full)
    assert before.records.keys() == {str(number) for number in (*range(ENTITIES), SMALLEST)}
    records = expect_all_exported(export, content, scratch.full, tmp_path, 7)
    scratch.client.delete(scratch.full, filter="pk != 3", timeout=SECONDS)
    scratch.put(entity(3, word="changed"))
    assert len(read(content, scratch.full).records) == 1
    # The body of a request, which the client takes as well.
    for record in records[:20]:
        body = json.loads(record.replay)
        assert body.keys() == {"dbName", "collectionName", "data"}
        scratch.client.upsert(body["collectionName"], body["data"], timeout=SECONDS)
    done = replayed(export, scratch.full, records[20:], tmp_path, environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert read(content, scratch.full) == before
    assert environment[PASSWORD] not in export.how_to_replay(scratch.full)


def test_odd_keys_come_back(
    made: Scratch,
    other: str,
    content: Content,
    export: Export,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    made.create(other, key=DataType.VARCHAR)
    rows = [{"pk": key, "vector": vector(n), "word": key} for n, key in enumerate(ODD_KEYS)]
    made.client.insert(other, rows, timeout=SECONDS)
    before = read(content, other)
    records = expect_all_exported(export, content, other, tmp_path, 4)
    made.client.delete(other, filter='pk >= ""', timeout=SECONDS)
    assert read(content, other).records == {}
    done = replayed(export, other, records, tmp_path, environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert read(content, other) == before


def test_automatic_keys_are_given_anew(
    made: Scratch,
    other: str,
    content: Content,
    export: Export,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    made.create(other, automatic=True, dynamic=True)
    rows = [{"vector": vector(n), "word": f"word {n}", "own": n} for n in range(10)]
    made.client.insert(other, rows, timeout=SECONDS)
    before = read(content, other)
    records = expect_all_exported(export, content, other, tmp_path, 4)
    for record in records:
        assert str(cast("Mapping[str, Any]", record.content)["pk"]) == record.key
        (row,) = json.loads(record.replay)["data"]
        assert row.keys() == {"vector", "word", "own"}
    made.client.delete(other, filter="pk >= 0", timeout=SECONDS)
    done = replayed(export, other, records, tmp_path, environment)
    assert (done.returncode, done.stderr) == (0, "")
    after = read(content, other)

    def nameless(found: Mapping[str, Any]) -> list[list[tuple[str, int]]]:
        return sorted(sorted(record.fields.items()) for record in found.values())

    assert nameless(after.records) == nameless(before.records)
    assert not after.records.keys() & before.records.keys()


def test_bytes_and_arrays_come_back(
    made: Scratch,
    other: str,
    content: Content,
    export: Export,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    schema = made.client.create_schema(auto_id=False)
    schema.add_field("pk", DataType.INT64, is_primary=True)
    schema.add_field("bits", DataType.BINARY_VECTOR, dim=16)
    schema.add_field("small", DataType.INT8)
    more = {"max_length": 20, "max_capacity": 4}
    schema.add_field("texts", DataType.ARRAY, element_type=DataType.VARCHAR, **more)
    schema.add_field("numbers", DataType.ARRAY, element_type=DataType.DOUBLE, max_capacity=4)
    index = made.client.prepare_index_params()
    index.add_index("bits", index_type="BIN_FLAT", metric_type="HAMMING")
    made.client.create_collection(other, schema=schema, index_params=index, timeout=SECONDS)
    rows = [
        {"pk": n, "bits": bytes([n, 255 - n]), "small": -n, "texts": ["ü", ""], "numbers": [n / 3]}
        for n in range(5)
    ]
    made.client.insert(other, rows, timeout=SECONDS)
    before = read(content, other)
    records = expect_all_exported(export, content, other, tmp_path, 2)
    assert cast("Mapping[str, Any]", records[0].content)["bits"] == {"base64": "AP8="}
    made.client.delete(other, filter="pk >= 0", timeout=SECONDS)
    done = replayed(export, other, records, tmp_path, environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert read(content, other) == before


def test_people_read_what_an_entity_was(
    scratch: Scratch, content: Content, export: Export, tmp_path: Path
) -> None:
    (record,) = exported(export, scratch.full, wanted_of(content, scratch.full, keys={"7"}), tmp_path)
    found = cast("Mapping[str, Any]", record.content)
    assert found.keys() == entity(7, **ODD).keys()
    for name in ("pk", "word", "json", "double", "own", "another own", "nothing", "floats"):
        assert found[name] == entity(7, **ODD)[name]
    assert found["vector"] == pytest.approx(ODD["vector"])


def test_only_what_is_wanted_is_exported(
    scratch: Scratch, content: Content, export: Export, tmp_path: Path
) -> None:
    def spoil() -> None:
        scratch.delete(3)
        scratch.put(entity(4, word="changed"))

    keys = ["3", "4", "20", "39", str(SMALLEST)]
    expect_only_what_is_wanted(export, content, scratch.full, tmp_path, keys, spoil)


def test_excluded_fields_are_in_the_export(
    scratch: Scratch, profile: MilvusProfile, endpoint: Endpoint, tmp_path: Path
) -> None:
    chosen = changed(profile, exclude={"*": ("word", "vector", "own", "floats")})
    with Content("milvus", chosen, endpoint) as content, Export("milvus", chosen, endpoint) as export:
        records = expect_all_exported(export, content, scratch.full, tmp_path, 100)
    found = cast("Mapping[str, Any]", next(r.content for r in records if r.key == "7"))
    assert found.keys() == entity(7, **ODD).keys()


def test_a_replay_that_is_refused_fails(
    scratch: Scratch, content: Content, export: Export, environment: dict[str, str], tmp_path: Path
) -> None:
    records = exported(export, scratch.full, wanted_of(content, scratch.full, keys={"7"}), tmp_path)
    without = replayed(export, scratch.full, records, tmp_path, {PASSWORD: "another"})
    assert without.returncode != 0
    assert environment[PASSWORD] not in without.stderr


def test_a_collection_that_is_gone_is_unverifiable(made: Scratch, export: Export, tmp_path: Path) -> None:
    gone = f"{made.name}absent"
    for call in (
        lambda: exported(export, gone, {0: frozenset({("1", 1)})}, tmp_path),
        lambda: export.how_to_replay(gone),
    ):
        with pytest.raises(Unverifiable, match=gone):
            call()
