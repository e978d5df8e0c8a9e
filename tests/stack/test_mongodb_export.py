"""MongoDB's export, against a real server: what is exported and replayed is what was there, to the bit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp, json_util
from bson.codec_options import CodecOptions
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS, RawBSONDocument
from pymongo import MongoClient
from pymongo.collection import Collection

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import Unverifiable
from fixtures.stores import mongodb_content
from fixtures.stores.content import Pace
from fixtures.stores.mongodb import Document
from fixtures.stores.mongodb_bson import CANONICAL, LENIENT
from fixtures.stores.mongodb_content import Content
from fixtures.stores.profiles import MongodbProfile
from fixtures.target import Target
from rollback_actions.stores.export import ExportedRecord
from rollback_actions.stores.factory import open_export
from rollback_actions.stores.mongodb_export import Export
from tests.stack.export_reading import exported, hashes_of
from tests.stack.mongodb_content_scratch import DATABASE, PAPERS, fill, scratch_database, scratch_profile
from tests.stack.record_exports import wanted_of
from tests.stack.scratch_stores import SECRET, changed, nowhere, silence

AWKWARD: dict[str, object] = {
    "double": 0.1 + 0.2,
    "whole double": 2.0,
    "minus zero": -0.0,
    "infinite": float("-inf"),
    "no number": float("nan"),
    "32 bits": 7,
    "64 bits": Int64(7),
    "the least": Int64(-(2**63)),
    "decimal": Decimal128("1.10"),
    "no decimal": Decimal128("NaN"),
    "text": 'quoted "\\ \n\r\t\u2028 \x00 ä \U0001f600',
    "nothing": "",
    "null": None,
    "yes": True,
    "bytes": b"\x00\xff\n",
    "bytes of a kind": Binary(b"\x01\x02", 128),
    "old bytes": Binary(b"\x01\x02", 2),
    "uuid": Binary(bytes(range(16)), 4),
    "object id": ObjectId("0123456789abcdef01234567"),
    "date": datetime(2024, 2, 29, 23, 59, 59, 999000, tzinfo=UTC),
    "date before 1970": datetime(1815, 12, 10, tzinfo=UTC),
    "date beyond": DatetimeMS(2**62),
    "timestamp": Timestamp(4_294_967_295, 7),
    "regex": Regex("^a/\\d\n", "im"),
    "code": Code("function () { return 1 }"),
    "code with scope": Code("x", {"x": 1}),
    "reference": DBRef("papers", 3, DATABASE),
    "least": MinKey(),
    "most": MaxKey(),
    "list": [1, [2.0, {"b": None, "a": Int64(1)}], []],
    "empty document": {},
    "order": {"b": 1, "a": 2},
    "dots": {"a.b": 1},
}
UNSAYABLE: dict[str, bytes] = {
    "a name that means a type": bson.encode({"a": {"$numberInt": "7"}}),
    "a name twice": b"\x13\0\0\0\x10a\0\x01\0\0\0\x10a\0\x02\0\0\0\0",
    "a symbol": b"\x0f\0\0\0\x0ea\0\x03\0\0\0xy\0\0",
    "undefined": b"\x08\0\0\0\x06a\0\0",
    "no UTF-8": b"\x0f\0\0\0\x02a\0\x03\0\0\0\xffy\0\0",
}


@pytest.fixture
def profile(target: Target) -> MongodbProfile:
    return scratch_profile(target)


@pytest.fixture
def endpoint(profile: MongodbProfile, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(profile.address)


@pytest.fixture
def scratch(profile: MongodbProfile, endpoint: Endpoint) -> Iterator[MongoClient[Document]]:
    with scratch_database(profile, endpoint) as client:
        yield client


@pytest.fixture
def content(profile: MongodbProfile, endpoint: Endpoint) -> Iterator[Content]:
    with Content("mongodb", profile, endpoint) as content:
        yield content


@pytest.fixture
def export(profile: MongodbProfile, endpoint: Endpoint) -> Iterator[Export]:
    with Export("mongodb", profile, endpoint) as export:
        yield export


def _lenient(client: MongoClient[Document], name: str) -> Collection[Document]:
    options: CodecOptions[Document] = LENIENT
    return client[DATABASE].get_collection(name, codec_options=options)


def _insert(client: MongoClient[Document], documents: list[bytes]) -> None:
    raw = client[DATABASE].get_collection("papers", codec_options=DEFAULT_RAW_BSON_OPTIONS)
    raw.insert_many([RawBSONDocument(document) for document in documents])


def _replay(client: MongoClient[Document], records: list[ExportedRecord], folder: Path) -> None:
    """Do what ``mongoimport --mode=upsert`` does with lines, and ``mongorestore`` with files."""
    for record in records:
        if record.replay:
            assert "\n" not in record.replay
            document = json_util.loads(record.replay, json_options=CANONICAL)
            _lenient(client, "papers").replace_one({"_id": document["_id"]}, document, upsert=True)
        else:
            assert isinstance(record.content, dict)
            _insert(client, [(folder / str(record.content["file"])).read_bytes()])


def _with_id(number: int, document: bytes) -> bytes:
    body = bson.encode({"_id": number})[4:-1] + document[4:]
    return (len(body) + 4).to_bytes(4, "little") + body


def test_every_type_comes_back_as_it_was(
    content: Content, export: Export, scratch: MongoClient[Document], tmp_path: Path
) -> None:
    keys: list[object] = [ObjectId(), "text \n", Int64(2**40), 2.5, {"b": 1, "a": Decimal128("1.0")}, b"\xff"]
    _lenient(scratch, "papers").insert_many(
        [
            *({"_id": number, "value": value} for number, value in enumerate(AWKWARD.values())),
            *({"_id": key} for key in keys),
            {"_id": 1000, **AWKWARD},
        ]
    )
    before = hashes_of(content, PAPERS)
    assert len(before) == len(AWKWARD) + len(keys) + 1
    records = exported(export, PAPERS, wanted_of(content, PAPERS), tmp_path)
    assert {(record.key, record.hash) for record in records} == set(before)
    assert all(record.replay for record in records)
    assert not list(tmp_path.iterdir())
    scratch[DATABASE]["papers"].delete_many({"_id": {"$mod": [2, 0]}})
    scratch[DATABASE]["papers"].update_many({}, {"$set": {"value": "changed"}})
    assert set(hashes_of(content, PAPERS)).isdisjoint(before)
    _replay(scratch, records, tmp_path)
    assert hashes_of(content, PAPERS) == before


@pytest.mark.parametrize("name", UNSAYABLE)
def test_what_extended_json_cannot_say_is_a_file(
    content: Content, export: Export, scratch: MongoClient[Document], tmp_path: Path, name: str
) -> None:
    _insert(scratch, [_with_id(1, UNSAYABLE[name])])
    before = hashes_of(content, PAPERS)
    [record] = exported(export, PAPERS, wanted_of(content, PAPERS), tmp_path)
    assert record.replay == ""
    assert exported(export, PAPERS, wanted_of(content, PAPERS), tmp_path) == [record]
    assert len(list(tmp_path.iterdir())) == 1
    scratch[DATABASE]["papers"].delete_one({"_id": 1})
    _replay(scratch, [record], tmp_path)
    assert hashes_of(content, PAPERS) == before


def test_people_can_read_it(
    content: Content, export: Export, scratch: MongoClient[Document], tmp_path: Path
) -> None:
    _lenient(scratch, "papers").insert_one({"_id": 1, **AWKWARD})
    [record] = exported(export, PAPERS, wanted_of(content, PAPERS), tmp_path)
    assert isinstance(record.content, dict)
    assert json.loads(json.dumps(record.content, allow_nan=False)) == record.content
    assert record.key == '{"$numberInt": "1"}'
    expected = {
        "decimal": "1.10",
        "infinite": "-inf",
        "64 bits": 7,
        "object id": "0123456789abcdef01234567",
        "date": "2024-02-29T23:59:59.999000Z",
        "date before 1970": "1815-12-10T00:00:00Z",
        "date beyond": {"milliseconds since 1970": 2**62},
        "bytes": {"base64": "AP8K"},
        "least": {"$minKey": 1},
        "list": [1, [2.0, {"b": None, "a": 1}], []],
    }
    assert {name: record.content[name] for name in expected} == expected


def test_only_what_is_wanted_and_still_there(
    content: Content,
    export: Export,
    scratch: MongoClient[Document],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mongodb_content, "FIRST_SIZE", 3)  # every part is many requests
    monkeypatch.setattr(Pace, "next_size", lambda *_: 3)
    fill(scratch)
    division = content.divide(PAPERS, 10)
    chosen = {f'{{"$numberInt": "{number}"}}' for number in (3, 4, 5, 25)}
    wanted = wanted_of(content, PAPERS, division, chosen)
    assert list(wanted) == [0, 2]
    assert {r.key for r in exported(export, PAPERS, wanted, tmp_path, division)} == chosen
    scratch[DATABASE]["papers"].delete_one({"_id": 4})
    scratch[DATABASE]["papers"].update_one({"_id": 5}, {"$set": {"text": "later"}})
    left = exported(export, PAPERS, wanted, tmp_path, division)
    assert sorted(record.key for record in left) == ['{"$numberInt": "25"}', '{"$numberInt": "3"}']


def test_excluded_fields_are_exported(
    profile: MongodbProfile, endpoint: Endpoint, scratch: MongoClient[Document], tmp_path: Path
) -> None:
    fill(scratch)
    chosen = changed(profile, exclude={PAPERS: ("text", "nested.b")})
    with Content("mongodb", chosen, endpoint) as content, Export("mongodb", chosen, endpoint) as export:
        records = exported(export, PAPERS, wanted_of(content, PAPERS), tmp_path)
        assert {(record.key, record.hash) for record in records} == set(hashes_of(content, PAPERS))
    with Content("mongodb", profile, endpoint) as whole:
        before = hashes_of(whole, PAPERS)
        scratch[DATABASE]["papers"].delete_many({})
        _replay(scratch, records, tmp_path)
        assert hashes_of(whole, PAPERS) == before


def test_a_time_series_is_inserted(
    content: Content, export: Export, scratch: MongoClient[Document], tmp_path: Path
) -> None:
    name = f"{DATABASE}.series"
    scratch[DATABASE].create_collection("series", timeseries={"timeField": "at", "metaField": "of"})
    scratch[DATABASE]["series"].insert_many(
        {"at": datetime(2024, 1, 1, 0, n, tzinfo=UTC), "of": n % 2, "value": n / 7} for n in range(10)
    )
    before = hashes_of(content, name)
    records = exported(export, name, wanted_of(content, name), tmp_path)
    scratch[DATABASE]["series"].delete_many({"of": 0})
    gone = set(before) - set(hashes_of(content, name))
    lines = [r.replay for r in records if (r.key, r.hash) in gone]
    assert len(lines) == 5
    _lenient(scratch, "series").insert_many(json_util.loads(line, json_options=CANONICAL) for line in lines)
    assert hashes_of(content, name) == before
    assert export.how_to_replay(name).endswith("--collection=series --mode=insert")


def test_how_to_replay_names_the_place_and_no_secret(
    engine: ContainerEngine, profile: MongodbProfile, scratch: MongoClient[Document]
) -> None:
    fill(scratch)
    scratch[DATABASE]["two words"].insert_one({})
    with open_export("mongodb", profile, engine) as export:
        command = export.how_to_replay(f"{DATABASE}.two words")
        assert export.how_to_replay(PAPERS).startswith("mongoimport --host=")
    assert command.endswith(f"--config=PASSWORD_FILE --db={DATABASE} '--collection=two words' --mode=upsert")
    assert profile.operator.password.get_secret_value() not in command


def test_a_server_that_does_not_answer_is_no_export(profile: MongodbProfile, tmp_path: Path) -> None:
    with silence() as silent:
        for endpoint in (silent, nowhere()):
            chosen = changed(profile, deadline_seconds=0.5)
            with Export("mongodb", chosen, endpoint) as export, pytest.raises(Unverifiable) as failure:
                exported(export, PAPERS, {0: frozenset({("1", 1)})}, tmp_path)
            assert SECRET not in str(failure.value)
