"""Milvus: entities with a field of every type; what is kept has a server of its own, which is stopped."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from pydantic import SecretStr
from pymilvus import DataType, MilvusClient, MilvusException

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.compose import ComposeEngine
from rollproof.profile.profile import Engine
from rollproof.profile.sections import Account, Address
from rollproof.stores.contract import ExportedRecord, RecordHash
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.milvus import client as milvus_client
from rollproof.stores.milvus.descriptor import MilvusProfile
from rollproof.stores.reach import NOBODY, Reach
from tests.stack import milvus_content_scratch as every
from tests.stack.milvus_content_scratch import ENTITIES, Scratch, entity, vector
from tests.stack.milvus_scratch import SECONDS
from tests.stack.milvus_scratch import Scratch as PlainScratch
from tests.stack.scratch_stores import changed, next_float
from tests.stack.stores.subject import WHOLE, Act, Change, Chosen, Exported, Given, Sizes, Subject, ways
from tests.waiting import until

LIST = [1, 1.0, "1", True, None]


def _put(*seen: str, **changes: Any) -> Change:  # noqa: ANN401 - those of `entity`
    return lambda s: s.scratch.put(entity(7, **changes)), {"7": set(seen)}


def _lost_and_added(subject: Milvus) -> None:
    subject.scratch.delete(7)
    subject.scratch.put(entity(7, pk=700))


def _recreated(**changes: Any) -> Act:  # noqa: ANN401 - those of `Scratch.create`
    return lambda subject: subject.scratch.recreate(**changes)


COMPOSE_FILE = """
services:
  milvus:
    image: {image}
    secrets: [milvus_root, milvus_app, milvus_reader]
    ports: ["127.0.0.1::19530"]
    volumes: ["data:/var/lib/milvus"]
    healthcheck:
      {{test: [CMD, healthcheck], interval: 2s, timeout: 10s, start_period: 120s, start_interval: 500ms}}
    stop_grace_period: 1s
    mem_limit: 4g
volumes:
  data: {{}}
secrets:
  milvus_root: {{file: ./root}}
  milvus_app: {{file: ./app}}
  milvus_reader: {{file: ./reader}}
"""
KEPT_ENTITIES = 200
SMALLEST = -(2**63) + 1
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


def _scratch(harm: Callable[[PlainScratch], object]) -> Act:
    return lambda subject: subject.change(harm)


def _another_metric(scratch: PlainScratch) -> None:
    scratch.client.drop_collection("other", timeout=SECONDS)
    scratch.create("other", KEPT_ENTITIES, metric="L2")


def _named(record: RecordHash) -> tuple[str, int]:
    return record.key, record.hash


def _nameless(record: RecordHash) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(record.fields.items()))


class Milvus(Subject):
    """Entities by their primary key. Collections are few: loading takes long, and so does each restart."""

    store = "milvus"
    changes: Mapping[str, Change] = {
        "lost": (lambda s: s.scratch.delete(7), {"7": None}),
        "added": (lambda s: s.scratch.put(entity(900)), {"900": None}),
        "twice": (lambda s: s.scratch.put(entity(7, pk=900)), {"900": None}),
        "one lost and one added": (_lost_and_added, {"7": None, "700": None}),
        "two words swapped": (
            lambda s: s.scratch.put(entity(7, word="word 8"), entity(8, word="word 7")),
            {"7": {"word"}, "8": {"word"}},
        ),
        "two vectors swapped": (
            lambda s: s.scratch.put(entity(7, vector=vector(8)), entity(8, vector=vector(7))),
            {"7": {"vector"}, "8": {"vector"}},
        ),
        "every vector embedded again": (
            lambda s: s.scratch.put(
                *(
                    entity(number, vector=[each * 1.001 for each in vector(number)])
                    for number in range(ENTITIES)
                )
            ),
            {str(number): {"vector"} for number in range(ENTITIES)},
        ),
        "a vector's last bit": _put("vector", vector=[*vector(7)[:3], next_float(0.25)]),
        "a trailing space": _put("word", word="word 7 "),
        "another case": _put("word", word="Word 7"),
        "an empty text": _put("word", word=""),
        "a boundary shifted": _put("first", "second", first="a", second="bc"),
        "not true": _put("yes", yes=False),
        "another number": _put("whole", whole=-7),
        "the last bit of a float": _put("single", single=next_float(7 / 8)),
        "less precision": _put("double", double=2.3333333),
        "a float for an integer": _put("json", json={"b": 7.0, "a": LIST}),
        "a text for an integer": _put("json", json={"b": "7", "a": LIST}),
        "a list in another order": _put("json", json={"b": 7, "a": [1.0, 1, "1", True, None]}),
        "an array in another order": _put("floats", floats=[1.5, 0.5]),
        "an array cut": _put("floats", floats=[0.5]),
        "a float for an integer of its own": _put("own", own=1.0),
        "a truth for an integer of its own": _put("own", own=True),
        "NULL is empty": _put("nothing", nothing=""),
        "NULL is nothing": _put("nothing", nothing=...),
        "a field of its own renamed": _put("own", "Own", own=..., Own=1),
        "a word, a vector and a field of its own": _put(
            "word", "vector", "own", word="other", vector=[9.0] * 4, own=9
        ),
    }
    equals: ClassVar[Mapping[str, Act]] = {
        "written backwards": lambda s: s.scratch.put(*(entity(n) for n in reversed(range(ENTITIES)))),
        "flushed": lambda s: s.scratch.client.flush(s.full, timeout=SECONDS),
    }
    schema_changes: ClassVar[Mapping[str, Act]] = {
        "not loaded": lambda s: s.scratch.client.release_collection(s.scratch.other, timeout=SECONDS),
        "another metric": _recreated(metric_type="IP"),
        "another dimension": _recreated(dimension=8),
        "another index": _recreated(index_type="IVF_FLAT", params={"nlist": 8}),
        "another graph": _recreated(params={"M": 16, "efConstruction": 64}),
        "another length": _recreated(length=60),
        "another key": _recreated(key=DataType.VARCHAR),
        "automatic keys": _recreated(automatic=True),
        "a partition key": _recreated(partitioned=True),
        "dynamic fields": _recreated(dynamic=True),
        "a partition added": lambda s: s.scratch.client.create_partition(
            s.scratch.other, "late", timeout=SECONDS
        ),
        "an alias moved": lambda s: s.scratch.client.alter_alias(s.scratch.other, s.alias, timeout=SECONDS),
        "an alias added": lambda s: s.scratch.client.create_alias(
            s.full, f"{s.scratch.name}second", timeout=SECONDS
        ),
        "a collection lost": lambda s: s.drop_other(),
    }
    vector_changes: ClassVar[Mapping[str, Act]] = {
        "vectors of other records": lambda s: s.scratch.put(
            *(entity(number, vector=vector(ENTITIES - number)) for number in range(ENTITIES))
        ),
    }
    index_changes: ClassVar[Mapping[str, Act]] = {
        "an index of few links": lambda s: s.scratch.index(s.indexed, params={"M": 2, "efConstruction": 4}),
    }
    shapes: ClassVar[Mapping[str, Sizes]] = {
        "numbers": "least",
        "texts": "least",
        "automatic keys": "least",
    }
    ways = ways("UNAUTHENTICATED", "DEADLINE")
    attempts: ClassVar[Mapping[str, tuple[Act, str]]] = {
        "delete": (lambda s: s.as_reader.delete(s.full, filter="pk == 1", timeout=60), "permission deny"),
        "drop": (lambda s: s.as_reader.drop_collection(s.full, timeout=60), "permission deny"),
        "flush": (lambda s: s.as_reader.flush(s.full, timeout=60), "permission deny"),
        "release": (lambda s: s.as_reader.release_collection(s.full, timeout=60), "permission deny"),
    }
    garbled: ClassVar[Mapping[str, str]] = {"word": "compare the schemas"}
    gone = "absent"
    excluded = ("word", "vector", "own")
    hidden, shown = "a word, a vector and a field of its own", "a boundary shifted"
    hasty = 1.0
    server = "Milvus v"
    searchable = True
    # It is stopped to be backed up: tests of its keeper do that to one of their own.
    restorable = False

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        stored = cast("MilvusProfile", given.target.stores["milvus"])
        name = f"scratch_{uuid.uuid4().hex[:8]}_"
        self.profile = changed(stored, collections=(f"{name}*",))
        self.nothing = ({"collections": (f"{name}none*",)}, "observed none")
        self.endpoint = endpoint = given.engine.resolve(stored.address)
        reach = Reach("milvus", endpoint, stored.operator or NOBODY, SECONDS)
        self.scratch = Scratch(milvus_client.Milvus(reach, stored.database).connect(), name)
        self.as_reader = milvus_client.Milvus(
            Reach("milvus", endpoint, stored.reader or NOBODY, 60), stored.database
        ).connect()
        self.indexed = f"{name}indexed"
        self.full = self.many = self.searched = self.scratch.full
        self.empty, self.absent, self.alias = f"{name}empty", f"{name}absent", f"{name}alias"
        self.keys = frozenset(str(number) for number in range(ENTITIES))
        self.counts = {self.empty: 0, self.full: ENTITIES}
        self.asked = (self.full, ENTITIES)
        self.vector = tuple(vector(0))

    def fill(self) -> None:
        self.scratch.create_full()
        self.scratch.client.create_alias(self.full, self.alias, timeout=SECONDS)
        self.scratch.create(self.empty)

    def mend(self) -> None:
        self.scratch.client.delete(self.full, filter="pk < 0", timeout=SECONDS)
        self.scratch.mend()

    def shaped(self, shape: str) -> str:
        if shape == "numbers":
            self.mend()
            return self.full
        client, name = self.scratch.client, self.scratch.other
        automatic = shape == "automatic keys"
        self.drop_other()
        self.scratch.create(name, key=DataType.INT64 if automatic else DataType.VARCHAR, automatic=automatic)
        entities = [
            {**({} if automatic else {"pk": key}), "vector": vector(number), "word": key}
            for number, key in enumerate(ODD_KEYS)
        ]
        client.insert(name, entities, timeout=SECONDS)
        return name

    def stir(self, shape: str) -> tuple[set[str], set[str]]:
        if shape == "numbers":
            self.scratch.put(entity(SMALLEST, whole=0), entity(ENTITIES + 1))
            self.scratch.delete(10)
            return {str(SMALLEST)}, {str(ENTITIES + 1)}
        client, name = self.scratch.client, self.scratch.other
        if shape == "texts":
            self.scratch.put({"pk": "\U0010ffff", "vector": vector(1), "word": ""}, collection=name)
            client.delete(name, filter='pk == "A"', timeout=SECONDS)
            return set(), {"\U0010ffff"}
        client.insert(name, [{"vector": vector(1), "word": "late"}], timeout=SECONDS)
        client.delete(name, filter='word == "A"', timeout=SECONDS)
        return set(), set()

    def define(self) -> None:
        self.drop_other()
        self.scratch.create(self.scratch.other)

    def index(self) -> None:
        if self.scratch.client.has_collection(self.indexed, timeout=SECONDS):
            self.scratch.index(self.indexed)
        else:
            self.scratch.create_large(self.indexed)

    def undefine(self) -> None:
        client = self.scratch.client
        client.alter_alias(self.full, self.alias, timeout=SECONDS)
        if f"{self.scratch.name}second" in client.list_aliases(self.full, timeout=SECONDS)["aliases"]:
            client.drop_alias(f"{self.scratch.name}second", timeout=SECONDS)
        self.drop_other()

    def drop_other(self) -> None:
        """Drop the second collection, if it is there, with the alias that it may have."""
        client, other = self.scratch.client, self.scratch.other
        if client.has_collection(other, timeout=SECONDS):
            if self.alias in client.list_aliases(other, timeout=SECONDS)["aliases"]:
                client.alter_alias(self.full, self.alias, timeout=SECONDS)
            client.drop_collection(other, timeout=SECONDS)

    def make_capturable(self) -> None:
        client, other = self.scratch.client, self.scratch.other
        if client.has_collection(other, timeout=SECONDS):
            client.load_collection(other, timeout=SECONDS)

    def remove(self, key: str) -> None:
        self.scratch.delete(int(key))

    def exclude(self, fields: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        return {f"{self.scratch.name}f*": tuple(fields)}

    def clear(self) -> None:
        self.scratch.clear()
        self.scratch.client.close()
        self.as_reader.close()
        self.leave()

    # How it is kept.

    readable: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "7": {**entity(7, **ODD), "vector": pytest.approx(ODD["vector"]), "single": pytest.approx(0.1)}
    }
    undigested = ("word", "vector", "own", "floats")
    unexported = "absent"

    rounds: ClassVar[Mapping[str, Mapping[str, Act]]] = {
        "everything": {
            "a collection dropped": _scratch(lambda s: s.client.drop_collection("plain", timeout=SECONDS)),
            "another metric": _scratch(_another_metric),
            "entities deleted": _scratch(
                lambda s: s.client.delete("third", filter="pk < 10", timeout=SECONDS)
            ),
            "entities added": _scratch(lambda s: s.insert("third", range(1000, 1010), word="wrong")),
            "released": _scratch(lambda s: s.client.release_collection("third", timeout=SECONDS)),
            "no longer empty": _scratch(lambda s: s.insert("empty", range(3))),
            "loaded": _scratch(lambda s: s.client.load_collection("released", timeout=SECONDS)),
            "a collection added": _scratch(lambda s: s.create("later", 7)),
        }
    }
    notes = frozenset[str]()
    always = frozenset({"released was not loaded when it was backed up: it is back, and was not counted"})
    words = ("snapshot of all volumes together",)
    kills = (0,)
    stops = True
    disturbed = f"plain {KEPT_ENTITIES + 3} records instead of {KEPT_ENTITIES} records"

    def settle(self) -> None:
        image = self.given.engine.containers()[self.given.target.stores["milvus"].services[0]][0].image_id
        folder = self.given.new_folder("milvus")
        password = uuid.uuid4().hex[:20]
        for user in ("root", "app", "reader"):
            (folder / user).write_text(password)
        file = folder / "compose.yaml"
        file.write_text(COMPOSE_FILE.format(image=image))
        project = f"rollproof-test-{uuid.uuid4().hex[:8]}"
        compose = ["docker", "compose", "--project-name", project, "--file", str(file)]
        down = [*compose, "down", "--volumes", "--timeout", "1"]
        self.opened.callback(subprocess.run, down, check=True, capture_output=True, timeout=120)
        up = [*compose, "up", "--detach", "--no-build", "--wait", "--wait-timeout", "300"]
        subprocess.run(up, check=True, capture_output=True, timeout=360)
        self.control = ComposeControl(Engine(kind="compose", project=project, files=(file,)))
        self._engine = ComposeEngine(project, 10)
        account = Account(user="root", password=SecretStr(password))
        self.own = MilvusProfile(
            kind="milvus",
            address=Address(service="milvus", port=19530),
            services=("milvus",),
            risk="high",
            operator=account,
            reader=account,
        )
        self.take(self.own, self._engine.resolve(self.own.address), self.control)
        self._client: MilvusClient | None = None
        self.opened.callback(self.close)

    # A connection does not outlive a restart for certain.

    def connected(self) -> MilvusClient:
        """Return a new connection, to a server that runs."""
        self.close()
        if not self.running():
            self.control.start(["milvus"], deadline=2 * SECONDS)
        self.place = self.place.at(self._engine.resolve(self.own.address))
        assert self.own.operator is not None
        reach = Reach("milvus", self.place.endpoint, self.own.operator, SECONDS)
        self._client = milvus_client.Milvus(reach, self.own.database).connect()
        return self._client

    def running(self) -> bool:
        return self._engine.containers()["milvus"][0].running

    def change(self, change: Callable[[PlainScratch], object]) -> None:
        change(PlainScratch(self._client or self.connected(), ""))

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def wipe(self) -> None:
        client = self.connected()
        for name in client.list_collections(timeout=SECONDS):
            client.drop_collection(name, timeout=SECONDS)

    # The export.

    @property
    def client(self) -> MilvusClient:
        assert self._client is not None
        return self._client

    def _every_type(self) -> Exported:
        scratch = every.Scratch(self.client, "")
        scratch.create_full()
        scratch.put(entity(7, **ODD), entity(SMALLEST, whole=0))

        def damage() -> None:
            self.client.delete(scratch.full, filter="pk != 3", timeout=SECONDS)
            scratch.put(entity(3, word="changed"))

        return Exported(scratch.full, damage)

    def _small(
        self,
        rows: Sequence[dict[str, Any]],
        look: Callable[..., object] = lambda *_: None,
        **collection: Any,  # noqa: ANN401
    ) -> Exported:
        scratch = every.Scratch(self.client, "")
        scratch.create(scratch.other, **collection)
        self.client.insert(scratch.other, list(rows), timeout=SECONDS)
        texts = collection.get("key") == DataType.VARCHAR
        everything = 'pk >= ""' if texts else "pk >= 0"
        return Exported(
            scratch.other,
            lambda: self.client.delete(scratch.other, filter=everything, timeout=SECONDS),
            size=4,
            look=look,
            stays=_nameless if collection.get("automatic") else _named,
        )

    def _odd_keys(self) -> Exported:
        rows = [{"pk": key, "vector": every.vector(n), "word": key} for n, key in enumerate(ODD_KEYS)]
        return self._small(rows, key=DataType.VARCHAR)

    def _automatic(self) -> Exported:
        def look(records: Sequence[ExportedRecord], _folder: Path) -> None:
            for record in records:
                assert str(cast("Mapping[str, Any]", record.content)["pk"]) == record.key

        rows = [{"vector": every.vector(n), "word": f"word {n}", "own": n} for n in range(10)]
        return self._small(rows, look, automatic=True, dynamic=True)

    def _bytes(self) -> Exported:
        schema = self.client.create_schema(auto_id=False)
        schema.add_field("pk", DataType.INT64, is_primary=True)
        schema.add_field("bits", DataType.BINARY_VECTOR, dim=16)
        schema.add_field("small", DataType.INT8)
        more = {"max_length": 20, "max_capacity": 4}
        schema.add_field("texts", DataType.ARRAY, element_type=DataType.VARCHAR, **more)
        schema.add_field("numbers", DataType.ARRAY, element_type=DataType.DOUBLE, max_capacity=4)
        index = self.client.prepare_index_params()
        index.add_index("bits", index_type="BIN_FLAT", metric_type="HAMMING")
        self.client.create_collection("bytes", schema=schema, index_params=index, timeout=SECONDS)
        rows = [
            {"pk": n, "bits": bytes([n, 255 - n]), "small": -n, "texts": ["ü", ""], "numbers": [n / 3]}
            for n in range(5)
        ]
        self.client.insert("bytes", rows, timeout=SECONDS)

        def look(records: Sequence[ExportedRecord], _folder: Path) -> None:
            found = {record.key: cast("Mapping[str, Any]", record.content) for record in records}
            assert found["0"]["bits"] == {"base64": "AP8="}

        everything = "pk >= 0"
        return Exported(
            "bytes",
            lambda: self.client.delete("bytes", filter=everything, timeout=SECONDS),
            size=2,
            look=look,
        )

    exported: ClassVar[Mapping[str, Callable[[Milvus], Exported]]] = {
        "every type": _every_type,
        "odd keys": _odd_keys,
        "automatic keys": _automatic,
        "bytes and arrays": _bytes,
    }

    def choose(self) -> Chosen:
        made = self._every_type()

        def spoil() -> None:
            self.client.delete(made.name, filter="pk == 3", timeout=SECONDS)
            self.client.upsert(made.name, [entity(4, word="changed")], timeout=SECONDS)

        left = ("20", "39", str(SMALLEST))
        return Chosen(made.name, ("3", "4", *left), spoil, left)

    # The keeper.

    def populate(self, kind: str = WHOLE) -> Mapping[str, int]:
        self.wipe()
        scratch = PlainScratch(self.client, "")
        scratch.create("plain", KEPT_ENTITIES)
        scratch.create("other", KEPT_ENTITIES, metric="IP")
        scratch.create("third", KEPT_ENTITIES)
        scratch.create("empty", 0)
        scratch.create("released", KEPT_ENTITIES, load=False)
        return {"plain": KEPT_ENTITIES, "other": KEPT_ENTITIES, "third": KEPT_ENTITIES, "empty": 0}

    def counted(self) -> Mapping[str, int]:
        # What is not loaded cannot be counted.
        loaded = self.place.but(collections=("plain", "other", "third", "empty"))
        with loaded.view() as view:
            return view.counts()

    def observe(self) -> object:
        def content() -> Mapping[str, Any]:
            # The health check passes before every collection can be read again.
            with suppress(MilvusException):
                found = PlainScratch(self.connected(), "").content()
                if not any(collection["state"] == "Loading" for collection in found.values()):
                    return found
            return {}

        return until(content)

    def unlisted(self) -> object:
        return None

    def add(self) -> None:
        self.change(lambda scratch: scratch.create("later", 7))

    def step(self, keeper: StoreKeeper) -> tuple[object, str]:
        # When the volumes are back, and the server is not yet.
        return self.watched, "start"

    def disturb(self, keeper: StoreKeeper, patch: pytest.MonkeyPatch) -> None:
        """Let entities be inserted after the flush, before the copy."""
        stop = self.control.stop

        def insert(services: Iterable[str], *, deadline: float) -> None:
            self.change(lambda scratch: scratch.insert("plain", range(5000, 5003)))
            stop(services, deadline=deadline)

        patch.setattr(keeper, "_profile", self.own.model_copy(update={"ready_seconds": 2}))
        patch.setattr(self.watched, "stop", insert, raising=False)
