"""S3: objects with headers, tags and parts, in buckets that keep versions and plain ones."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, cast

from minio import Minio
from minio.commonconfig import ENABLED, Filter
from minio.lifecycleconfig import Expiration, LifecycleConfig, Rule
from minio.versioningconfig import SUSPENDED, VersioningConfig

from rollproof.profile.sections import Policy
from rollproof.stores.contract import ExportedRecord
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.reach import Reach
from rollproof.stores.s3 import client as s3_client
from rollproof.stores.s3 import keeper as s3_keeper
from rollproof.stores.s3.descriptor import VERSIONS, S3Profile
from rollproof.stores.s3.reader import OBJECTS
from tests.stack.scratch_buckets import erase, make, observe, put, tags
from tests.stack.scratch_stores import changed
from tests.stack.stores.subject import Act, Change, Chosen, Exported, Given, Sizes, Subject, ways

BUCKET, PLAIN, EMPTY, MANY, SHAPED, SET, GONE = (
    f"minio-file-scratch-reading-{name}"
    for name in ("full", "plain", "empty", "many", "shape", "settings", "gone")
)
PART = 5 * 1024 * 1024
LARGE = PART + 1
HEADERS = {"Content-Type": "text/plain", "Cache-Control": "no-cache", "Foo": "Bar", "Fo": "oBar"}
SMALL = {
    "left": b"left side",
    "right": b"right sid",
    "empty": b"",
    "folder/deep/x": b"x",
    "folder b": b"sorted before the folder, listed after it",
}
MANY_OBJECTS = 240
ODD = (
    *(
        "a",
        "a/b",
        "a b",
        "a-b",
        "a+b",
        "a%20b",
        "ü",
        "e\u0301",
        "é",
        "日本/語",
        "😀",
        "\uffee",
        "a..b",
        "nl\nx",
    ),
    "/led",
)
POLICY = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*",'
    f' "Action": "s3:GetObject", "Resource": "arn:aws:s3:::{SET}/*"}}]}}'
)


def _all(content: bytes = b"text", tag: str = "b c", **headers: str) -> Act:
    named = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return lambda s: put(s.client, BUCKET, "all", content, headers=named, tagged={"a": tag})


def _put(**contents: bytes) -> Act:
    def act(subject: S3) -> None:
        for key, content in contents.items():
            put(subject.client, BUCKET, key, content)

    return act


def _rename(subject: S3) -> None:
    subject.client.remove_object(BUCKET, "left")
    put(subject.client, BUCKET, "Left", b"left side")


def _came_otherwise(subject: S3) -> None:
    subject.put_large(b"p" * LARGE, 2 * PART)
    put(subject.client, BUCKET, "left", b"something else")
    put(subject.client, BUCKET, "left", b"left side")
    put(subject.client, BUCKET, "late", b"x")
    subject.client.remove_object(BUCKET, "late")


def _expiring(subject: S3) -> None:
    rule = Rule(ENABLED, rule_id="old", rule_filter=Filter(prefix="old/"), expiration=Expiration(days=9))
    subject.client.set_bucket_lifecycle(SET, LifecycleConfig([rule]))


KEPT = "minio-file-scratch-keeping"
OUTSIDE = "minio-file-scratch-outside"
COPIES = "copies, versioned"
PACKED = b"\x1f\x8b no gzip at all"
EVERY_HEADER = {
    "Content-Type": "text/plain; charset=utf-8",
    "Cache-Control": "no-cache",
    "Content-Disposition": 'attachment; filename="it\'s.txt"',
    "Content-Encoding": "gzip",
    "Content-Language": "de",
    "Foo": "it's $HOME `id` \\",
}
TAGS = {"a": "b c", "plus+": "1=1", "ü": "/:@"}
KEYS = ("it's", "a b", "$(id)", "file:/etc/passwd", "-rf", "nl\nx", "ü/日本/😀", '"quoted"', "a/b")


def _client(harm: Callable[[Minio], object]) -> Act:
    return lambda subject: harm(subject.client)


class S3(Subject):
    """Objects of the stack's server."""

    store = "minio"
    changes: Mapping[str, Change] = {
        "lost": (lambda s: s.client.remove_object(BUCKET, "left"), {"left": None}),
        "added": (_put(late=b"x"), {"late": None}),
        "duplicated under another key": (_put(**{"left ": b"left side"}), {"left ": None}),
        "two swapped": (
            _put(left=b"right sid", right=b"left side"),
            {"left": {"content"}, "right": {"content"}},
        ),
        "one bit": (_all(b"uext"), {"all": {"content"}}),
        "case": (_all(b"Text"), {"all": {"content"}}),
        "trailing space": (_all(b"text "), {"all": {"content", "size"}}),
        "emptied": (_all(b""), {"all": {"content", "size"}}),
        "case of a key": (_rename, {"left": None, "Left": None}),
        "content type": (_all(Content_Type="text/html"), {"all": {"content_type"}}),
        "header": (_all(Cache_Control="no-store"), {"all": {"headers"}}),
        "metadata": (_all(Foo="bar"), {"all": {"metadata"}}),
        "metadata emptied": (_all(Foo=""), {"all": {"metadata"}}),
        "metadata and content": (_all(b"niwt", Foo="bar"), {"all": {"metadata", "content"}}),
        "boundary between name and value": (_all(Foo="oBar", Fo="Bar"), {"all": {"metadata"}}),
        "tag": (_all(tag="b  c"), {"all": {"tags"}}),
        "tags lost": (lambda s: s.client.delete_object_tags(BUCKET, "all"), {"all": {"tags"}}),
        "tag added": (
            lambda s: s.client.set_object_tags(BUCKET, "left", tags({"z": ""})),
            {"left": {"tags"}},
        ),
        "folder emptied": (
            lambda s: s.client.remove_object(BUCKET, "folder/deep/x"),
            {"folder/deep/x": None},
        ),
        "a large one zeroed": (lambda s: s.put_large(bytes(LARGE)), {"parts": {"content"}}),
    }
    equals: ClassVar[Mapping[str, Act]] = {"other parts, versions and markers": _came_otherwise}
    schema_changes: ClassVar[Mapping[str, Act]] = {
        "lifecycle": _expiring,
        "policy": lambda s: s.client.set_bucket_policy(SET, POLICY),
        "versioning": lambda s: s.client.set_bucket_versioning(SET, VersioningConfig(SUSPENDED)),
        "a bucket gone": lambda s: erase(s.client, SET),
    }
    # An object that is put back has a version more.
    policy: ClassVar[Mapping[str, Policy]] = {f"{VERSIONS}*": Policy.GROWS, "*": Policy.EXACT}
    shapes: ClassVar[Mapping[str, Sizes]] = {"odd keys": "least", "versions of odd keys": "at most"}
    ways = ways("SignatureDoesNotMatch")
    attempts: ClassVar[Mapping[str, tuple[Act, str]]] = {
        "put": (lambda s: put(s.as_reader, BUCKET, "all", b"text"), "AccessDenied"),
    }
    gone = "NoSuchBucket"
    nothing = ({"buckets": (GONE,)}, "NoSuchBucket")
    excluded = ("metadata", "content")
    hidden, shown = "metadata and content", "content type"

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        stored = cast("S3Profile", given.target.stores["minio"])
        self.profile = changed(stored, buckets=(BUCKET, PLAIN, EMPTY, MANY, SET), backup="copies")
        endpoint = given.engine.resolve(stored.address)
        self.client = s3_client.S3(
            Reach("minio", endpoint, stored.operator, 60), stored.region, connections=8
        ).connect()
        self.as_reader = s3_client.S3(Reach("minio", endpoint, stored.reader, 60), stored.region).connect()
        self.server = ""
        self.full, self.empty, self.absent, self.many = BUCKET, EMPTY, GONE, MANY
        self.keys = frozenset({"all", "parts", *SMALL})
        self.counts = {EMPTY: 0, BUCKET: len(self.keys), MANY: MANY_OBJECTS, PLAIN: 2, SET: 0}
        self.asked = (BUCKET, len(self.keys))

    def fill(self) -> None:
        erase(self.client, GONE)
        for bucket in (BUCKET, PLAIN, EMPTY, MANY, SET):
            make(self.client, bucket, versioned=bucket in (BUCKET, SET))
        with ThreadPoolExecutor(8) as pool:
            list(
                pool.map(
                    lambda number: put(self.client, MANY, f"{number:04}", b"%d" % number), range(MANY_OBJECTS)
                )
            )
        for key in ("a", "folder/c ü+&", "a", "gone"):
            put(self.client, PLAIN, key, b"text")
        self.client.remove_object(PLAIN, "gone")
        self.put_large(b"p" * LARGE)
        self.mend()

    def mend(self) -> None:
        sizes = {}
        for item in self.client.list_objects(BUCKET, recursive=True):
            sizes[str(item.object_name)] = item.etag
            if item.object_name not in self.keys:
                self.client.remove_object(BUCKET, str(item.object_name))
        for key, content in SMALL.items():
            put(self.client, BUCKET, key, content)
        _all()(self)
        if sizes.get("parts") != self.etag:
            self.put_large(b"p" * LARGE)

    def put_large(self, content: bytes, part: int = PART) -> None:
        """Put an object in several parts."""
        made = self.client.put_object(BUCKET, "parts", io.BytesIO(content), -1, part_size=part)
        if (content[:1], part) == (b"p", PART):
            self.etag = made.etag

    def shaped(self, shape: str) -> str:
        make(self.client, SHAPED, versioned=shape.startswith("versions"))
        for key in ODD:
            put(self.client, SHAPED, key, key.encode())
        return f"{VERSIONS}{SHAPED}" if shape.startswith("versions") else SHAPED

    def stir(self, shape: str) -> tuple[set[str], set[str]]:
        for key in (" before", "a  between", "\U0010fff0 after"):
            put(self.client, SHAPED, key, b"x")
        self.client.remove_object(SHAPED, "ü")
        return (set(), set()) if shape.startswith("versions") else ({" before"}, {"\U0010fff0 after"})

    def define(self) -> None:
        """Do nothing: the bucket is what `fill` makes."""

    def undefine(self) -> None:
        make(self.client, SET, versioned=True)

    def spoil(self) -> None:
        for name in ("one bit", "lost", "metadata", "tags lost", "added", "a large one zeroed"):
            self.make(name)

    def clear(self) -> None:
        for bucket in (BUCKET, PLAIN, EMPTY, MANY, SHAPED, SET):
            erase(self.client, bucket)
        self.leave()

    # How it is kept.

    readable: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "all": {
            "size": len(PACKED),
            "content_type": EVERY_HEADER["Content-Type"],
            "metadata": {"foo": EVERY_HEADER["Foo"]},
            "tags": TAGS,
            "file": f"{OBJECTS}/{hashlib.sha256(PACKED).hexdigest()}",
        }
    }
    undigested = ("metadata", "content", "tags", "size", "headers")

    kinds = (COPIES, "copies, plain", "versions, versioned", "versions, plain")
    rounds: ClassVar[Mapping[str, Mapping[str, Act]]] = {
        "objects": {
            "content of the same length": _client(lambda c: put(c, KEPT, "twin 1", b"niwt")),
            "content of another length": _client(lambda c: put(c, KEPT, "again", b"third time")),
            "an object deleted": _client(lambda c: c.remove_object(KEPT, "typed")),
            "an object added": _client(lambda c: put(c, KEPT, "late", b"x")),
            "a deleted object put again": _client(lambda c: put(c, KEPT, "gone", b"x")),
            "headers lost": _client(lambda c: put(c, KEPT, "tagged", b"text", tagged={"a": "b c"})),
            "tags lost": _client(lambda c: c.delete_object_tags(KEPT, "tagged too")),
            "tags added": _client(lambda c: c.set_object_tags(KEPT, "packed", tags({"z": "1"}))),
            "parts of another content": _client(
                lambda c: c.put_object(KEPT, "parts", io.BytesIO(b"q" * (2 * PART + 1)), -1, part_size=PART)
            ),
        }
    }
    notes = frozenset({f"deleted 1 objects of bucket {KEPT} that came after the backup"})
    words = ("SHA-256",)
    kills = (2,)
    strangers: ClassVar[Mapping[str, Mapping[str, object]]] = {"buckets": {"buckets": ("scratch-other",)}}
    refusal = "NoSuchBucket"

    def settle(self) -> None:
        self.take(changed(self.profile, buckets=(KEPT,), exclude={}))
        for bucket in (KEPT, OUTSIDE):
            self.opened.callback(erase, self.client, bucket)
        make(self.client, OUTSIDE, versioned=False)
        put(self.client, OUTSIDE, "outside", b"x")

    def wipe(self) -> None:
        make(self.client, KEPT, versioned=True)

    # The export.

    def _objects(self) -> Exported:
        client = self.client
        put(client, KEPT, "all", PACKED, headers=EVERY_HEADER, tagged=TAGS)
        put(client, KEPT, "bytes", bytes(range(256)) * 1000)
        put(client, KEPT, "same bytes", bytes(range(256)) * 1000)
        put(client, KEPT, "empty", b"")
        for key in KEYS:
            put(client, KEPT, key, key.encode())

        def damage() -> None:
            for item in list(client.list_objects(KEPT, recursive=True)):
                client.remove_object(KEPT, str(item.object_name))
            put(client, KEPT, "all", b"changed")

        def look(records: Sequence[ExportedRecord], folder: Path) -> None:
            found = {record.key: cast("Mapping[str, Any]", record.content) for record in records}
            (listed,) = client.list_objects(KEPT, prefix="all", include_version=True)
            assert found["all"]["version"] == listed.version_id
            assert found["all"]["headers"]["cache-control"] == "no-cache"
            files = sorted((folder / OBJECTS).iterdir())
            # Two objects have the same content; nothing else was left.
            assert {f"{OBJECTS}/{file.name}" for file in files} == {each["file"] for each in found.values()}
            assert len(files) == len(records) - 1
            for file in files:
                assert file.stat().st_mode & 0o777 == 0o600
                assert hashlib.sha256(file.read_bytes()).hexdigest() == file.name

        return Exported(KEPT, damage, size=4, look=look)

    exported: ClassVar[Mapping[str, Callable[[S3], Exported]]] = {
        "objects": _objects,
    }

    def choose(self) -> Chosen:
        self._objects()

        def spoil() -> None:
            self.client.remove_object(KEPT, "bytes")
            put(self.client, KEPT, "it's", b"changed")

        return Chosen(KEPT, ("bytes", "it's", "a/b", "all"), spoil, ("a/b", "all"))

    # The keeper.

    def populate(self, kind: str = COPIES) -> Mapping[str, int]:
        backup, _, bucket = kind.partition(", ")
        self.place = self.place.but(backup=backup)
        client = self.client
        make(client, KEPT, versioned=bucket == "versioned")
        headers = {"Foo": "Bar", "Cache-Control": "no-cache"}
        put(client, KEPT, "tagged", b"text", headers=headers, tagged={"a": "b c"})
        put(client, KEPT, "tagged too", b"text", tagged={"a": "b c"})
        put(client, KEPT, "packed", gzip.compress(b"text"), headers={"Content-Encoding": "gzip"})
        put(client, KEPT, "typed", b"{}", headers={"Content-Type": "application/json"})
        put(client, KEPT, "folder/a b+ü%&?.txt", b"")
        # The staging server gives this one no version.
        put(client, KEPT, "folder/", b"")
        put(client, KEPT, "twin 1", b"twin")
        put(client, KEPT, "twin 2", b"twin")
        put(client, KEPT, "again", b"first")
        put(client, KEPT, "again", b"second")
        put(client, KEPT, "gone", b"x")
        client.remove_object(KEPT, "gone")
        client.put_object(KEPT, "parts", io.BytesIO(b"p" * (2 * PART + 1)), -1, part_size=PART)
        return {KEPT: 10}

    def observe(self) -> object:
        return observe(self.client, KEPT) if self.client.bucket_exists(KEPT) else None

    def unlisted(self) -> object:
        return observe(self.client, OUTSIDE)

    def add(self) -> None:
        put(self.client, KEPT, "late", b"x")

    def step(self, keeper: StoreKeeper) -> tuple[object, str]:
        return s3_keeper, "put_copy"

    def drop(self, what: str) -> Mapping[str, int]:
        erase(self.client, KEPT)
        return {KEPT: 0}

    def dropped(self) -> object:
        # What a restore takes away for ever is no bucket: it is emptied.
        assert list(self.client.list_objects(KEPT, recursive=True)) == []
        erase(self.client, KEPT)
        return self.observe()
