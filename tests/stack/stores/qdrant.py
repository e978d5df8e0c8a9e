"""Qdrant: points with every kind of id, payload and vector, an index and an alias."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

from pydantic import SecretStr

from rollproof.profile.sections import ApiKey
from rollproof.stores.contract import ExportedRecord
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.qdrant.client import Rest, path_of
from rollproof.stores.qdrant.descriptor import QdrantProfile
from rollproof.stores.reach import Reach, account_of
from tests.stack.qdrant_scratch import NUMBERS, UUIDS, Scratch, identity, payload, vectors
from tests.stack.scratch_stores import SECRET, changed, next_float
from tests.stack.stores.subject import WHOLE, Act, Change, Chosen, Exported, Given, Sizes, Subject, ways

POINTS = NUMBERS + UUIDS
UUID_OF_7 = str(uuid.UUID(int=7))
COSINE = {"size": 4, "distance": "Cosine"}


def _put(seen: set[str], **changes: Any) -> Change:  # noqa: ANN401 - those of `Scratch.put`
    return lambda s: s.scratch.put(7, **changes), {"7": seen}


def _without(field: str) -> dict[str, Any]:
    return {name: value for name, value in payload(7).items() if name != field}


def _lost_and_added(subject: Qdrant) -> None:
    subject.scratch.delete(7)
    subject.scratch.put(7, at=700)


def _moved_to_a_uuid(subject: Qdrant) -> None:
    subject.scratch.delete(7)
    subject.scratch.put(7, at=UUID_OF_7)


def _words_swapped(subject: Qdrant) -> None:
    subject.scratch.put(7, word="word 8")
    subject.scratch.put(8, word="word 7")


def _vectors_swapped(subject: Qdrant) -> None:
    subject.scratch.put(7, vector=vectors(8))
    subject.scratch.put(8, vector=vectors(7))


def _embedded_again(subject: Qdrant) -> None:
    subject.put_all(
        {number: [value * 1.001 for value in vectors(number)["image"]] for number in range(POINTS)}
    )


def _without_a_vector(subject: Qdrant) -> None:
    body = {"points": [7], "vector": ["pages"]}
    subject.scratch.rest.call("POST", f"{path_of(subject.full)}/points/vectors/delete?wait=true", body)


def _index_of_another_type(subject: Qdrant) -> None:
    subject.scratch.drop_index("word")
    subject.scratch.index("word", "text")


def _recreated(**changes: object) -> Act:
    return lambda subject: subject.scratch.recreate({**COSINE, **changes})


OTHERS = 49
PAYLOAD = {"text": 'it\'s "$(id)"\n\u2028ü😀\\n', "large": 2**53 + 1, "small": 5e-324, "nested": [{"": None}]}
LARGEST = 2**64 - 1


def _scratch(harm: Callable[[Scratch], object]) -> Act:
    return lambda subject: harm(subject.scratch)


def _other_lost(subject: Qdrant) -> None:
    subject.scratch.rest.call("DELETE", path_of(subject.scratch.other))


def _name_taken(subject: Qdrant) -> None:
    _other_lost(subject)
    subject.create(subject.later)
    subject.scratch.point(subject.scratch.other, subject.later)


class Qdrant(Subject):
    """Points by their id, of the stack's server."""

    store = "qdrant"
    changes: Mapping[str, Change] = {
        "lost": (lambda s: s.scratch.delete(7), {"7": None}),
        "one with a UUID lost": (
            lambda s: s.scratch.delete(identity(NUMBERS + 1)),
            {str(identity(NUMBERS + 1)): None},
        ),
        "added": (lambda s: s.scratch.put(7, at=900, word="new"), {"900": None}),
        "twice": (lambda s: s.scratch.put(7, at=901), {"901": None}),
        "one lost and one added": (_lost_and_added, {"7": None, "700": None}),
        "a UUID instead of a number": (_moved_to_a_uuid, {"7": None, UUID_OF_7: None}),
        "two words swapped": (_words_swapped, {"7": {"word"}, "8": {"word"}}),
        "two vectors swapped": (
            _vectors_swapped,
            {key: {"vector image", "vector pages", "vector terms"} for key in "78"},
        ),
        "every vector embedded again": (
            _embedded_again,
            {str(identity(number)): {"vector image"} for number in range(POINTS)},
        ),
        "a vector's last bit": _put({"vector image"}, vector={"image": [1.0, next_float(7 / 7), -7 / 3]}),
        "a bit of a multivector": _put(
            {"vector pages"}, vector={"pages": [[1.0, 7 / 9], [7 / 5, next_float(0.5)]]}
        ),
        "two rows of a multivector swapped": _put(
            {"vector pages"}, vector={"pages": vectors(7)["pages"][::-1]}
        ),
        "a multivector cut elsewhere": _put(
            {"vector pages"}, vector={"pages": [*vectors(7)["pages"], [0.0, 0.0]]}
        ),
        "a bit of a sparse vector": _put(
            {"vector terms"}, vector={"terms": {"indices": [7, 15], "values": [0.25, next_float(7.5)]}}
        ),
        "an index of a sparse vector": _put(
            {"vector terms"}, vector={"terms": {"indices": [7, 16], "values": [0.25, 7.5]}}
        ),
        "a named vector lost": (_without_a_vector, {"7": {"vector pages"}}),
        "NULL is empty": _put({"nothing"}, nothing=""),
        "NULL is nothing": _put({"nothing"}, content=_without("nothing")),
        "a trailing space": _put({"word"}, word="word 7 "),
        "another case": _put({"word"}, word="Word 7"),
        "less precision": _put({"part"}, part=2.3333333),
        "a float for an integer": _put({"small"}, small=1.0),
        "a text for an integer": _put({"small"}, small="1"),
        "a truth for an integer": _put({"small"}, small=True),
        "a boundary shifted": _put({"first", "second"}, first="a", second="bc"),
        "a list in another order": _put({"list"}, list=[1.0, 1, "1", True, None]),
        "a change deep inside": _put({"deep"}, deep={"b": 7, "a": {"c": [7, []]}}),
        "a field renamed": _put({"word", "Word"}, content={**_without("word"), "Word": "word 7"}),
        "a field added": _put({"more"}, more=[]),
        "a payload lost": _put(set(payload(7)), content={}),
        "a word and a vector": _put(
            {"word", "vector image"}, word="other", vector={"image": [9.0, 9.0, 9.0]}
        ),
    }
    equals: ClassVar[Mapping[str, Act]] = {
        "written backwards": lambda s: [s.scratch.put(number) for number in reversed(range(POINTS))],
        "fields in another order": lambda s: s.scratch.put(7, content=dict(reversed(payload(7).items()))),
    }
    schema_changes: ClassVar[Mapping[str, Act]] = {
        "another metric": _recreated(distance="Euclid"),
        "another dimension": _recreated(size=5),
        "another datatype": _recreated(datatype="float16"),
        "vectors on disk": _recreated(on_disk=True),
        "another graph": _recreated(hnsw_config={"m": 32}),
        "an index of another type": _index_of_another_type,
        "an index lost": lambda s: s.scratch.drop_index("word"),
        "an index added": lambda s: s.scratch.index("small", "integer"),
        "an alias moved": lambda s: s.scratch.point(s.scratch.alias, s.scratch.other),
        "an alias added": lambda s: s.scratch.point(f"{s.scratch.name}second", s.full),
        "a collection lost": lambda s: s.scratch.rest.call("DELETE", path_of(s.scratch.other)),
        "a collection added": lambda s: s.scratch.create(f"{s.scratch.name}later"),
    }
    vector_changes: ClassVar[Mapping[str, Act]] = {
        "vectors of other records": lambda s: s.put_all(
            {number: vectors(POINTS - number)["image"] for number in range(POINTS)}
        ),
    }
    shapes: ClassVar[Mapping[str, Sizes]] = {"numbers and UUIDs": "least"}
    ways = ways("401")
    attempts: ClassVar[Mapping[str, tuple[Act, str]]] = {
        "create": (lambda s: s.as_reader.call("PUT", path_of(s.absent), {"vectors": COSINE}), "403"),
    }
    gone = "404"
    excluded = ("word", "vector image")
    index_changes: ClassVar[Mapping[str, Act]] = {
        "an index of few links": lambda s: s.scratch.create_large(s.indexed, m=2, ef_construct=4),
    }
    hidden, shown = "a word and a vector", "a boundary shifted"
    server = "-stand-in"
    searchable = True

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        stored = cast("QdrantProfile", given.target.stores["qdrant"])
        name = f"scratch_{uuid.uuid4().hex[:8]}_"
        self.profile = changed(stored, collections=(f"{name}*",))
        self.nothing = ({"collections": (f"{name}none*",)}, "observed none")
        endpoint = given.engine.resolve(stored.address)
        self.scratch = Scratch(Rest(Reach("qdrant", endpoint, account_of(stored.operator), 60)), name)
        self.as_reader = Rest(Reach("qdrant", endpoint, account_of(stored.reader), 60))
        self.indexed = f"{name}indexed"
        self.full = self.many = self.scratch.full
        self.empty, self.absent, self.searched = self.scratch.other, f"{name}absent", f"{name}search"
        self.keys = frozenset(str(identity(number)) for number in range(POINTS))
        self.counts = {self.full: POINTS, self.empty: 0, self.searched: 9}
        self.asked = (self.full, POINTS)
        self.vector = tuple(vectors(0)["image"])

    def fill(self) -> None:
        self.scratch.fill()
        self.scratch.create(self.searched, {"size": 3, "distance": "Cosine"})
        points = [{"id": number, "vector": [1.0, number / 7, -number / 3]} for number in range(9)]
        self._write(self.searched, points)

    def mend(self) -> None:
        request = {"limit": 1000, "with_payload": False}
        points = self.scratch.rest.call("POST", f"{path_of(self.full)}/points/scroll", request)["points"]
        if strays := [point["id"] for point in points if str(point["id"]) not in self.keys]:
            self.scratch.delete(*strays)
        self.put_all({})

    def put_all(self, images: Mapping[int, list[float]]) -> None:
        """Write every point, some with another image."""
        points = [
            {
                "id": identity(number),
                "vector": vectors(number) | ({"image": images[number]} if number in images else {}),
                "payload": payload(number),
            }
            for number in range(POINTS)
        ]
        self._write(self.full, points)

    def _write(self, collection: str, points: list[dict[str, Any]]) -> None:
        self.scratch.rest.call("PUT", f"{path_of(collection)}/points?wait=true", {"points": points})

    def shaped(self, shape: str) -> str:
        self.mend()
        self.scratch.delete(0, identity(POINTS - 1))
        return self.full

    def stir(self, shape: str) -> tuple[set[str], set[str]]:
        self.scratch.put(0)
        self.scratch.put(POINTS - 1)
        self.scratch.delete(15)
        return {"0"}, {str(identity(POINTS - 1))}

    def define(self) -> None:
        """Do nothing: they are what `fill` makes."""

    def index(self) -> None:
        self.scratch.create_large(self.indexed, m=16, ef_construct=100)

    def undefine(self) -> None:
        self.clear()
        self.fill()

    def spoil(self) -> None:
        for change in ("every vector embedded again", "a payload lost"):
            self.make(change)
        for change in ("an index lost", "an alias moved", "another metric"):
            self.schema_changes[change](self)

    def remove(self, key: str) -> None:
        self.scratch.delete(int(key) if key.isdecimal() else key)

    def exclude(self, fields: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        return {f"{self.scratch.name}f*": tuple(fields)}

    def refused(self) -> Mapping[str, Any]:
        return {"reader": ApiKey(key=SecretStr(SECRET))}

    def clear(self) -> None:
        self.scratch.clear()
        self.leave()

    # How it is kept.

    readable: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "7": {"id": 7, "payload": {**payload(7), **PAYLOAD}}
    }
    undigested = ("text", "vector image", "word")

    rounds: ClassVar[Mapping[str, Mapping[str, Act]]] = {
        "points": {
            "points deleted": _scratch(lambda s: s.delete(1, 2)),
            "points added": _scratch(lambda s: s.put(7, at=900)),
            "a vector's last bit": _scratch(
                lambda s: s.put(5, vector={"image": [1.0, next_float(5 / 7), -5 / 3]})
            ),
            "another payload": _scratch(lambda s: s.put(8, word="other")),
            "an alias moved": _scratch(lambda s: s.point(s.alias, s.other)),
            "another dimension": _scratch(lambda s: s.recreate({"size": 5, "distance": "Cosine"})),
        },
        "collections": {
            "an index deleted": _scratch(lambda s: s.drop_index("word")),
            "a collection deleted": _other_lost,
        },
        "names": {"an alias took a name": _name_taken},
    }
    words = ("snapshot of each collection",)
    kills = (0, 1)
    disturbed = "something writes"
    overtaken = "restore of counts"

    def settle(self) -> None:
        name = self.scratch.name
        self.take(changed(self.profile, exclude={}))
        self.later, self._outside = f"{name}later", f"outside_{name}"
        self.notes = frozenset(
            {
                f"collection {self.later} came after the backup and was deleted",
                f"alias {self.later}_alias of {self.later} came after the backup and was deleted",
            }
        )
        self.opened.callback(self.scratch.rest.call, "DELETE", path_of(self._outside))
        self.opened.callback(self.wipe)
        self.create(self._outside)

    def create(self, collection: str) -> None:
        """Create a collection with one vector a point and no payload, whose distance is Cosine."""
        self.scratch.create(collection, COSINE)
        points = [
            {"id": number, "vector": [number, 0.1, -3.0, 1 / 3], "payload": None}
            for number in range(1, OTHERS + 1)
        ]
        self.scratch.rest.call("PUT", f"{path_of(collection)}/points?wait=true", {"points": points})

    def wipe(self) -> None:
        self.scratch.clear()

    # The export.

    def _emptied(self, collection: str) -> Callable[[], object]:
        path = f"{path_of(collection)}/points/delete?wait=true"
        return lambda: self.scratch.rest.call("POST", path, {"filter": {}})

    def _named(self) -> Exported:
        scratch = self.scratch
        scratch.fill()
        scratch.put(7, **PAYLOAD)
        scratch.put(8, content={})
        scratch.put(9, at=LARGEST)
        body = {"points": [9], "vector": ["pages", "terms", "image"]}
        scratch.rest.call("POST", f"{path_of(scratch.full)}/points/vectors/delete?wait=true", body)

        def look(records: Sequence[ExportedRecord], _folder: Path) -> None:
            assert len(records) == POINTS + 1
            found = {record.key: cast("Mapping[str, Any]", record.content) for record in records}
            assert found["7"]["vector"].keys() == vectors(7).keys()

        return Exported(scratch.full, self._emptied(scratch.full), look=look)

    def _normalised(self) -> Exported:
        """Of which the server has changed the vectors already."""
        self.create(self.scratch.other)
        return Exported(self.scratch.other, self._emptied(self.scratch.other))

    exported: ClassVar[Mapping[str, Callable[[Qdrant], Exported]]] = {
        "named vectors": _named,
        "normalised vectors": _normalised,
    }

    def choose(self) -> Chosen:
        self._named()

        def spoil() -> None:
            self.scratch.delete(3)
            self.scratch.put(4, word="changed")

        left = (str(identity(NUMBERS)), "20", str(LARGEST))
        return Chosen(self.scratch.full, ("3", "4", *left), spoil, left)

    # The keeper.

    def populate(self, kind: str = WHOLE) -> Mapping[str, int]:
        self.wipe()
        self.scratch.fill()
        self.scratch.rest.call("DELETE", path_of(self.scratch.other))
        self.create(self.scratch.other)
        return {self.scratch.full: POINTS, self.scratch.other: OTHERS}

    def observe(self) -> object:
        rest, name = self.scratch.rest, self.scratch.name
        aliases = rest.call("GET", "/aliases")["aliases"]
        found = {collection: self.observed(collection) for collection in rest.collections([f"{name}*"])}
        return found, [each for each in aliases if each["alias_name"].startswith(name)]

    def observed(self, collection: str) -> object:
        info = self.scratch.rest.call("GET", path_of(collection))
        request = {"limit": 1000, "with_vector": True, "with_payload": True}
        points: Any = self.scratch.rest.call("POST", f"{path_of(collection)}/points/scroll", request)
        snapshots = self.scratch.rest.call("GET", f"{path_of(collection)}/snapshots")
        return info["config"], info["payload_schema"], points["points"], snapshots

    def unlisted(self) -> object:
        return self.observed(self._outside)

    def add(self) -> None:
        self.create(self.later)
        self.scratch.point(f"{self.later}_alias", self.later)

    def step(self, keeper: StoreKeeper) -> tuple[object, str]:
        return keeper, "_send"

    def reading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        return keeper, "_fetch", lambda: self.scratch.put(7, at=901)

    def loading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        return keeper, "_create_aliases", lambda: self.scratch.put(7, at=901)
