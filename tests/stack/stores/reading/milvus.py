"""Milvus for the contract: entities with a field of every type. Collections are few: loading takes long."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, cast

from pymilvus import DataType

from rollproof.stores.milvus import client as milvus_client
from rollproof.stores.milvus.descriptor import MilvusProfile
from rollproof.stores.reach import NOBODY, Reach
from tests.stack.milvus_content_scratch import ENTITIES, Scratch, entity, next_float, vector
from tests.stack.milvus_scratch import SECONDS
from tests.stack.scratch_stores import changed
from tests.stack.stores.reading.subject import Act, Change, Given, Sizes, Subject, ways

ODD_KEYS = ("", " ", 'a"b', "a'b", "a\\b", "a\nb", "\u0001", "%", "ü", "😀", "A", "a", "a ")
LIST = [1, 1.0, "1", True, None]
SMALLEST_KEY = -(2**63) + 1


def _put(*seen: str, **changes: Any) -> Change:  # noqa: ANN401 - those of `entity`
    return lambda s: s.scratch.put(entity(7, **changes)), {"7": set(seen)}


def _lost_and_added(subject: Milvus) -> None:
    subject.scratch.delete(7)
    subject.scratch.put(entity(7, pk=700))


def _anew(**changes: Any) -> Act:  # noqa: ANN401 - those of `Scratch.create`
    return lambda subject: subject.scratch.make_anew(**changes)


class Milvus(Subject):
    """Entities by their primary key."""

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
        "every vector embedded anew": (
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
        "another metric": _anew(metric_type="IP"),
        "another dimension": _anew(dimension=8),
        "another index": _anew(index_type="IVF_FLAT", params={"nlist": 8}),
        "another graph": _anew(params={"M": 16, "efConstruction": 64}),
        "another length": _anew(length=60),
        "another key": _anew(key=DataType.VARCHAR),
        "automatic keys": _anew(automatic=True),
        "a partition key": _anew(partitioned=True),
        "dynamic fields": _anew(dynamic=True),
        "a partition added": lambda s: s.scratch.client.create_partition(
            s.scratch.other, "late", timeout=SECONDS
        ),
        "an alias moved": lambda s: s.scratch.client.alter_alias(s.scratch.other, s.alias, timeout=SECONDS),
        "an alias added": lambda s: s.scratch.client.create_alias(
            s.full, f"{s.scratch.name}second", timeout=SECONDS
        ),
        "not loaded": lambda s: s.scratch.client.release_collection(s.scratch.other, timeout=SECONDS),
        "a collection lost": lambda s: s.drop_other(),
    }
    golden_changes: ClassVar[Mapping[str, Act]] = {
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
            self.scratch.put(entity(SMALLEST_KEY, whole=0), entity(ENTITIES + 1))
            self.scratch.delete(10)
            return {str(SMALLEST_KEY)}, {str(ENTITIES + 1)}
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

    def remove(self, key: str) -> None:
        self.scratch.delete(int(key))

    def exclude(self, fields: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        return {f"{self.scratch.name}f*": tuple(fields)}

    def clear(self) -> None:
        self.scratch.clear()
        self.scratch.client.close()
        self.as_reader.close()
