"""The export of S3 objects, against a real server: what is put again by its lines is what was there."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shlex
import shutil
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl

import pytest
from minio import Minio
from minio.commonconfig import ENABLED
from minio.versioningconfig import VersioningConfig
from pydantic import SecretStr

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import Unverifiable
from fixtures.stores.profiles import Account, S3Profile
from fixtures.stores.reach import Reach
from fixtures.stores.s3 import connect
from fixtures.stores.s3_content import Content
from fixtures.target import Target
from rollback_actions.stores.export import ExportedRecord
from rollback_actions.stores.s3_export import OBJECTS, REQUESTED, Export
from tests.stack.content_reading import read
from tests.stack.record_exports import (
    expect_all_exported,
    expect_only_what_is_wanted,
    exported,
    replayed,
    wanted_of,
)
from tests.stack.scratch_buckets import erase, make, put, put_expiring
from tests.stack.scratch_stores import SECRET, changed, nowhere

BUCKET = "minio-file-scratch-export"
VERSIONS = f"versions {BUCKET}"
PART = 5 * 1024 * 1024
HEADERS = {
    "Content-Type": "text/plain; charset=utf-8",
    "Cache-Control": "no-cache",
    "Content-Disposition": 'attachment; filename="it\'s.txt"',
    "Content-Encoding": "gzip",
    "Content-Language": "de",
    "Foo": "it's $HOME `id` \\",
}
TAGS = {"a": "b c", "plus+": "1=1", "ü": "/:@"}
KEYS = ("it's", "a b", "$(id)", "file:/etc/passwd", "-rf", "nl\nx", "ü/日本/😀", '"quoted"', "a/b")


@pytest.fixture
def profile(target: Target) -> S3Profile:
    return changed(cast("S3Profile", target.stores["minio"]), buckets=(BUCKET,))


@pytest.fixture
def endpoint(profile: S3Profile, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(profile.address)


@pytest.fixture
def client(profile: S3Profile, endpoint: Endpoint) -> Iterator[Minio]:
    client = connect(Reach("minio", endpoint, profile.operator, 60), profile.region, connections=8)
    make(client, BUCKET, versioned=True)
    yield client
    erase(client, BUCKET)


@pytest.fixture
def content(profile: S3Profile, endpoint: Endpoint) -> Iterator[Content]:
    with Content("minio", profile, endpoint) as content:
        yield content


@pytest.fixture
def export(profile: S3Profile, endpoint: Endpoint) -> Iterator[Export]:
    with Export("minio", profile, endpoint) as export:
        yield export


def _fill(client: Minio) -> None:
    put(client, BUCKET, "all", b"\x1f\x8b no gzip at all", headers=HEADERS, tagged=TAGS)
    put(client, BUCKET, "bytes", bytes(range(256)) * 1000)
    put(client, BUCKET, "same bytes", bytes(range(256)) * 1000)
    put(client, BUCKET, "empty", b"")
    for key in KEYS:
        put(client, BUCKET, key, key.encode())


def _spoil(client: Minio) -> None:
    for item in list(client.list_objects(BUCKET, recursive=True)):
        client.remove_object(BUCKET, str(item.object_name))
    put(client, BUCKET, "all", b"changed")


def _run(client: Minio, folder: Path, records: Sequence[ExportedRecord]) -> None:
    """Do what the lines say, as the AWS command line would: it is not on every machine."""
    for record in records:
        words = shlex.split(record.replay)
        assert words[:2] == ["aws", "s3api"]
        request: dict[str, Any] = json.loads(words[words.index("--cli-input-json") + 1])
        bucket, key = request.pop("Bucket"), request.pop("Key")
        if words[2] == "delete-object":
            client.remove_object(bucket, key)
            continue
        assert words[2] == "put-object"
        metadata = request.pop("Metadata", {})
        names = {name: header for header, name in REQUESTED.items()}
        tagged = dict(parse_qsl(request.pop("Tagging", ""), keep_blank_values=True))
        headers = {"Content-Type" if n == "ContentType" else names[n]: text for n, text in request.items()}
        body = (folder / words[words.index("--body") + 1]).read_bytes()
        put(client, bucket, key, body, headers={**headers, **metadata}, tagged=tagged)


def _object(records: Sequence[ExportedRecord], key: str) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", next(record.content for record in records if record.key == key))


def test_what_is_put_again_is_what_was_there(
    client: Minio, content: Content, export: Export, tmp_path: Path
) -> None:
    _fill(client)
    before = read(content, BUCKET)
    records = expect_all_exported(export, content, BUCKET, tmp_path, 4)
    _spoil(client)
    assert read(content, BUCKET) != before
    _run(client, tmp_path, records)
    assert read(content, BUCKET) == before


def test_the_aws_command_line_takes_the_lines(
    client: Minio, content: Content, export: Export, profile: S3Profile, tmp_path: Path
) -> None:
    if shutil.which("aws") is None:
        pytest.skip("no AWS command line on this machine; the lines are done by another client above")
    _fill(client)
    put_expiring(client, BUCKET, "expiring")
    before = read(content, BUCKET)
    # Each command takes a second to start.
    chosen = {"expiring", "all", "bytes", "empty", "it's", "file:/etc/passwd", "-rf", "nl\nx", "ü/日本/😀"}
    records = exported(export, BUCKET, wanted_of(content, BUCKET, keys=chosen), tmp_path)
    for key in chosen:
        client.remove_object(BUCKET, key)
    secret = {"AWS_SECRET_ACCESS_KEY": profile.operator.password.get_secret_value()}
    done = replayed(export, BUCKET, records, tmp_path, secret)
    assert (done.returncode, done.stderr) == (0, "")
    assert read(content, BUCKET) == before
    without = replayed(export, BUCKET, records, tmp_path, {"AWS_SECRET_ACCESS_KEY": ""})
    assert without.returncode != 0
    assert "AWS_SECRET_ACCESS_KEY: of operator" in without.stderr
    assert secret["AWS_SECRET_ACCESS_KEY"] not in export.how_to_replay(BUCKET)


def test_people_read_what_an_object_was(
    client: Minio, content: Content, export: Export, tmp_path: Path
) -> None:
    _fill(client)
    records = expect_all_exported(export, content, BUCKET, tmp_path, 100)
    found = _object(records, "all")
    (listed,) = client.list_objects(BUCKET, prefix="all", include_version=True)
    assert found["version"] == listed.version_id
    assert (found["size"], found["content_type"]) == (17, HEADERS["Content-Type"])
    assert found["headers"]["cache-control"] == "no-cache"
    assert found["metadata"] == {"foo": HEADERS["Foo"]}
    assert found["tags"] == TAGS
    files = sorted((tmp_path / OBJECTS).iterdir())
    # Two objects have the same content; nothing else was left beside them.
    assert len(files) == len(records) - 1
    for file in files:
        assert file.stat().st_mode & 0o777 == 0o600
        assert hashlib.sha256(file.read_bytes()).hexdigest() == file.name
    assert {record["file"] for record in (_object(records, r.key) for r in records)} == {
        f"{OBJECTS}/{file.name}" for file in files
    }
    assert (tmp_path / found["file"]).read_bytes() == b"\x1f\x8b no gzip at all"


def test_only_what_is_wanted_is_exported(
    client: Minio, content: Content, export: Export, tmp_path: Path
) -> None:
    _fill(client)

    def spoil() -> None:
        client.remove_object(BUCKET, "bytes")
        put(client, BUCKET, "it's", b"changed")
        for file in (tmp_path / OBJECTS).iterdir():
            file.unlink()

    expect_only_what_is_wanted(export, content, BUCKET, tmp_path, ["bytes", "it's", "a/b", "all"], spoil)
    # What was read of the one that changed is not kept.
    assert len(list((tmp_path / OBJECTS).iterdir())) == 2


def test_what_a_kill_left_is_written_over(
    client: Minio, content: Content, export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(client)
    wanted = wanted_of(content, BUCKET, keys={"all"})
    with monkeypatch.context() as killed:
        killed.setattr(Path, "unlink", lambda *_, **__: None)
        killed.setattr(Path, "replace", lambda *_: None)
        exported(export, BUCKET, wanted, tmp_path)
    assert [file.suffix for file in (tmp_path / OBJECTS).iterdir()] == [".part"]
    (record,) = exported(export, BUCKET, wanted, tmp_path)
    assert [file.name for file in (tmp_path / OBJECTS).iterdir()] == [
        Path(_object([record], "all")["file"]).name
    ]


def test_excluded_fields_are_in_the_export(
    client: Minio, profile: S3Profile, endpoint: Endpoint, tmp_path: Path
) -> None:
    _fill(client)
    chosen = changed(profile, exclude={BUCKET: ("metadata", "content", "tags", "size", "headers")})
    with Content("minio", chosen, endpoint) as content, Export("minio", chosen, endpoint) as export:
        records = expect_all_exported(export, content, BUCKET, tmp_path, 100)
    found = _object(records, "all")
    assert (tmp_path / found["file"]).read_bytes() == b"\x1f\x8b no gzip at all"
    assert found["tags"] == TAGS
    assert found["metadata"]["foo"] == HEADERS["Foo"]


def test_versions_are_put_again_with_the_newest_on_top(
    client: Minio, content: Content, export: Export, tmp_path: Path
) -> None:
    for number in range(3):
        put(client, BUCKET, "kept", b"version %d" % number, headers={"Number": str(number)})
    put(client, BUCKET, "kept", b"version 1", headers=HEADERS, tagged=TAGS)
    put(client, BUCKET, "deleted", b"there once")
    client.remove_object(BUCKET, "deleted")
    before, versions = read(content, BUCKET), read(content, VERSIONS)
    records = expect_all_exported(export, content, VERSIONS, tmp_path, 2)
    assert len(records) == 6
    contents = [cast("Mapping[str, Any]", record.content) for record in records]
    assert [c.get("metadata") for c in contents if c["key"] == "kept"][:3] == [
        {"number": str(number)} for number in range(3)
    ]
    assert [c["latest"] for c in contents] == [False, True, False, False, False, True]
    assert contents[1]["delete_marker"] is True
    erase(client, BUCKET)
    make(client, BUCKET, versioned=True)
    _run(client, tmp_path, records)
    assert read(content, BUCKET) == before

    def nameless(keys: Mapping[str, Any]) -> list[str]:
        return sorted(key.partition("?versionId=")[0] for key in keys)

    assert nameless(read(content, VERSIONS).records) == nameless(versions.records)


def test_versions_that_are_gone_or_not_wanted_are_left_out(
    client: Minio, content: Content, export: Export, tmp_path: Path
) -> None:
    for number in range(3):
        put(client, BUCKET, "kept", b"version %d" % number)
    client.remove_object(BUCKET, "kept")
    listed = list(client.list_objects(BUCKET, include_version=True))
    newest, middle, _ = (item for item in listed if not item.is_delete_marker)
    names = {f"kept?versionId={item.version_id}" for item in (newest, middle)}
    wanted = wanted_of(content, VERSIONS, keys=names)
    client.remove_object(BUCKET, "kept", newest.version_id)
    (record,) = exported(export, VERSIONS, wanted, tmp_path)
    assert record.key == f"kept?versionId={middle.version_id}"
    assert (tmp_path / _object([record], record.key)["file"]).read_bytes() == b"version 1"


def test_a_version_of_the_time_before_versions_is_exported(
    client: Minio, content: Content, export: Export, tmp_path: Path
) -> None:
    make(client, BUCKET, versioned=False)
    put(client, BUCKET, "small", b"old")
    client.put_object(BUCKET, "parts", io.BytesIO(b"p" * (PART + 1)), -1, part_size=PART)
    client.set_bucket_versioning(BUCKET, VersioningConfig(ENABLED))
    put(client, BUCKET, "small", b"new")
    records = expect_all_exported(export, content, VERSIONS, tmp_path, 10)
    old = _object(records, "small?versionId=null")
    assert (tmp_path / old["file"]).read_bytes() == b"old"
    assert (tmp_path / _object(records, "parts?versionId=null")["file"]).stat().st_size == PART + 1


def test_a_large_object_is_not_held(client: Minio, content: Content, export: Export, tmp_path: Path) -> None:
    size = 48 << 20
    client.put_object(BUCKET, "large", io.BytesIO(os.urandom(1 << 20) * 48), size)
    wanted = wanted_of(content, BUCKET)
    tracemalloc.start()
    (record,) = exported(export, BUCKET, wanted, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / _object([record], "large")["file"]).stat().st_size == size
    assert peak < size / 4


@pytest.mark.usefixtures("client")
def test_refusal_and_an_empty_address_are_unverifiable(
    profile: S3Profile, endpoint: Endpoint, tmp_path: Path
) -> None:
    wanted = {0: frozenset({("key", 1)})}
    account = Account(user=profile.operator.user, password=SecretStr(SECRET))
    hasty = changed(profile, deadline_seconds=2.0)
    for refused in (
        Export("minio", changed(hasty, operator=account), endpoint),
        Export("minio", hasty, nowhere()),
    ):
        for collection in (BUCKET, VERSIONS):
            with refused, pytest.raises(Unverifiable) as failure:
                exported(refused, collection, wanted, tmp_path)
            assert SECRET not in str(failure.value)
    assert list((tmp_path / OBJECTS).iterdir()) == []
