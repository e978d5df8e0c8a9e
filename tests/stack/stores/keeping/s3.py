"""An S3 server as a subject of the contract: objects with headers, tags and parts, versioned or plain."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, cast

from minio import Minio

from rollproof.stores.contract import ExportedRecord
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.reach import Reach
from rollproof.stores.s3 import client as s3_client
from rollproof.stores.s3 import keeper as s3_keeper
from rollproof.stores.s3.descriptor import S3Profile
from rollproof.stores.s3.reader import OBJECTS
from tests.stack.scratch_buckets import erase, make, observe, put, tags
from tests.stack.scratch_stores import changed
from tests.stack.stores.keeping.subject import Bench, Chosen, Damage, Exported, Subject

BUCKET = "minio-file-scratch-keeping"
BESIDE = "minio-file-scratch-beside"
COPIES = "copies, versioned"
PART = 5 * 1024 * 1024
PACKED = b"\x1f\x8b no gzip at all"
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


def _client(harm: Callable[[Minio], object]) -> Damage:
    return lambda subject: harm(subject.client)


class S3(Subject):
    """The stack's server."""

    shown: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "all": {
            "size": len(PACKED),
            "content_type": HEADERS["Content-Type"],
            "metadata": {"foo": HEADERS["Foo"]},
            "tags": TAGS,
            "file": f"{OBJECTS}/{hashlib.sha256(PACKED).hexdigest()}",
        }
    }
    exclude = ("metadata", "content", "tags", "size", "headers")

    kinds = (COPIES, "copies, plain", "versions, versioned", "versions, plain")
    rounds: ClassVar[Mapping[str, Mapping[str, Damage]]] = {
        "objects": {
            "content of the same length": _client(lambda c: put(c, BUCKET, "twin 1", b"niwt")),
            "content of another length": _client(lambda c: put(c, BUCKET, "again", b"third time")),
            "an object deleted": _client(lambda c: c.remove_object(BUCKET, "typed")),
            "an object added": _client(lambda c: put(c, BUCKET, "late", b"x")),
            "a deleted object put again": _client(lambda c: put(c, BUCKET, "gone", b"x")),
            "headers lost": _client(lambda c: put(c, BUCKET, "tagged", b"text", tagged={"a": "b c"})),
            "tags lost": _client(lambda c: c.delete_object_tags(BUCKET, "tagged too")),
            "tags added": _client(lambda c: c.set_object_tags(BUCKET, "packed", tags({"z": "1"}))),
            "parts of another content": _client(
                lambda c: c.put_object(BUCKET, "parts", io.BytesIO(b"q" * (2 * PART + 1)), -1, part_size=PART)
            ),
        }
    }
    notes = frozenset({f"deleted 1 objects of bucket {BUCKET} that came after the backup"})
    words = ("SHA-256",)
    kills = (2,)
    strangers: ClassVar[Mapping[str, Mapping[str, object]]] = {"buckets": {"buckets": ("scratch-other",)}}
    gone = "NoSuchBucket"

    def __init__(self, bench: Bench, opened: ExitStack) -> None:
        stack = cast("S3Profile", bench.target.stores["minio"])
        profile = changed(stack, buckets=(BUCKET,), backup="copies", exclude={})
        self.settle("minio", profile, bench.engine.resolve(profile.address), bench.control)
        reach = Reach("minio", self.place.endpoint, profile.operator, 60)
        self.client = s3_client.S3(reach, profile.region, connections=8).connect()
        for bucket in (BUCKET, BESIDE):
            opened.callback(erase, self.client, bucket)
        make(self.client, BESIDE, versioned=False)
        put(self.client, BESIDE, "beside", b"x")

    def clear(self) -> None:
        make(self.client, BUCKET, versioned=True)

    # The export.

    def _objects(self) -> Exported:
        client = self.client
        put(client, BUCKET, "all", PACKED, headers=HEADERS, tagged=TAGS)
        put(client, BUCKET, "bytes", bytes(range(256)) * 1000)
        put(client, BUCKET, "same bytes", bytes(range(256)) * 1000)
        put(client, BUCKET, "empty", b"")
        for key in KEYS:
            put(client, BUCKET, key, key.encode())

        def damage() -> None:
            for item in list(client.list_objects(BUCKET, recursive=True)):
                client.remove_object(BUCKET, str(item.object_name))
            put(client, BUCKET, "all", b"changed")

        def look(records: Sequence[ExportedRecord], folder: Path) -> None:
            found = {record.key: cast("Mapping[str, Any]", record.content) for record in records}
            (listed,) = client.list_objects(BUCKET, prefix="all", include_version=True)
            assert found["all"]["version"] == listed.version_id
            assert found["all"]["headers"]["cache-control"] == "no-cache"
            files = sorted((folder / OBJECTS).iterdir())
            # Two objects have the same content; nothing else was left beside them.
            assert {f"{OBJECTS}/{file.name}" for file in files} == {each["file"] for each in found.values()}
            assert len(files) == len(records) - 1
            for file in files:
                assert file.stat().st_mode & 0o777 == 0o600
                assert hashlib.sha256(file.read_bytes()).hexdigest() == file.name

        return Exported(BUCKET, damage, size=4, look=look)

    exported: ClassVar[Mapping[str, Callable[[S3], Exported]]] = {
        "objects": _objects,
    }

    def choose(self) -> Chosen:
        self._objects()

        def spoil() -> None:
            self.client.remove_object(BUCKET, "bytes")
            put(self.client, BUCKET, "it's", b"changed")

        return Chosen(BUCKET, ("bytes", "it's", "a/b", "all"), spoil, ("a/b", "all"))

    # The keeper.

    def fill(self, kind: str = COPIES) -> Mapping[str, int]:
        backup, _, bucket = kind.partition(", ")
        self.place = self.place.but(backup=backup)
        client = self.client
        make(client, BUCKET, versioned=bucket == "versioned")
        headers = {"Foo": "Bar", "Cache-Control": "no-cache"}
        put(client, BUCKET, "tagged", b"text", headers=headers, tagged={"a": "b c"})
        put(client, BUCKET, "tagged too", b"text", tagged={"a": "b c"})
        put(client, BUCKET, "packed", gzip.compress(b"text"), headers={"Content-Encoding": "gzip"})
        put(client, BUCKET, "typed", b"{}", headers={"Content-Type": "application/json"})
        put(client, BUCKET, "folder/a b+ü%&?.txt", b"")
        # The staging server gives this one no version.
        put(client, BUCKET, "folder/", b"")
        put(client, BUCKET, "twin 1", b"twin")
        put(client, BUCKET, "twin 2", b"twin")
        put(client, BUCKET, "again", b"first")
        put(client, BUCKET, "again", b"second")
        put(client, BUCKET, "gone", b"x")
        client.remove_object(BUCKET, "gone")
        client.put_object(BUCKET, "parts", io.BytesIO(b"p" * (2 * PART + 1)), -1, part_size=PART)
        return {BUCKET: 10}

    def observe(self) -> object:
        return observe(self.client, BUCKET) if self.client.bucket_exists(BUCKET) else None

    def beside(self) -> object:
        return observe(self.client, BESIDE)

    def add(self) -> None:
        put(self.client, BUCKET, "late", b"x")

    def step(self, keeper: StoreKeeper) -> tuple[object, str]:
        return s3_keeper, "put_copy"

    def drop(self, what: str) -> Mapping[str, int]:
        erase(self.client, BUCKET)
        return {BUCKET: 0}

    def dropped(self) -> object:
        # What a restore takes away for ever is no bucket: it is emptied.
        assert list(self.client.list_objects(BUCKET, recursive=True)) == []
        erase(self.client, BUCKET)
        return self.observe()
