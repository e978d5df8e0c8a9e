"""Qdrant as a subject of the contract: every kind of id, payload and vector, an index and an alias."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, cast

from rollproof.stores.contract import ExportedRecord
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.qdrant.client import Rest, path_of
from rollproof.stores.qdrant.descriptor import QdrantProfile
from rollproof.stores.reach import Reach, account_of
from tests.stack.qdrant_scratch import NUMBERS, UUIDS, Scratch, identity, next_float, payload, vectors
from tests.stack.scratch_stores import changed
from tests.stack.stores.keeping.subject import WHOLE, Bench, Chosen, Damage, Exported, Subject

POINTS, OTHERS = NUMBERS + UUIDS, 49
PAYLOAD = {"text": 'it\'s "$(id)"\n\u2028ü😀\\n', "large": 2**53 + 1, "small": 5e-324, "nested": [{"": None}]}
LARGEST = 2**64 - 1
OTHER = {"size": 4, "distance": "Cosine"}


def _scratch(harm: Callable[[Scratch], object]) -> Damage:
    return lambda subject: harm(subject.scratch)


def _lost(subject: Qdrant) -> None:
    subject.scratch.rest.call("DELETE", path_of(subject.scratch.other))


def _name_taken(subject: Qdrant) -> None:
    _lost(subject)
    subject.create(subject.later)
    subject.scratch.point(subject.scratch.other, subject.later)


class Qdrant(Subject):
    """The stack's server."""

    shown: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "7": {"id": 7, "payload": {**payload(7), **PAYLOAD}}
    }
    exclude = ("text", "vector image", "word")

    rounds: ClassVar[Mapping[str, Mapping[str, Damage]]] = {
        "points": {
            "points deleted": _scratch(lambda s: s.delete(1, 2)),
            "points added": _scratch(lambda s: s.put(7, at=900)),
            "a vector's last bit": _scratch(
                lambda s: s.put(5, vector={"image": [1.0, next_float(5 / 7), -5 / 3]})
            ),
            "another payload": _scratch(lambda s: s.put(8, word="other")),
            "an alias moved": _scratch(lambda s: s.point(s.alias, s.other)),
            "another dimension": _scratch(lambda s: s.make_anew({"size": 5, "distance": "Cosine"})),
        },
        "collections": {
            "an index deleted": _scratch(lambda s: s.drop_index("word")),
            "a collection deleted": _lost,
        },
        "names": {"an alias took a name": _name_taken},
    }
    words = ("snapshot of each collection",)
    kills = (0, 1)
    disturbed = "something writes"
    overtaken = "restore of counts"

    def __init__(self, bench: Bench, opened: ExitStack) -> None:
        stack = cast("QdrantProfile", bench.target.stores["qdrant"])
        name = f"scratch_{uuid.uuid4().hex[:8]}_"
        profile = changed(stack, collections=(f"{name}*",), exclude={})
        self.settle("qdrant", profile, bench.engine.resolve(profile.address), bench.control)
        self.scratch = Scratch(
            Rest(Reach("qdrant", self.place.endpoint, account_of(profile.operator), 60)), name
        )
        self.later, self._beside = f"{name}later", f"beside_{name}"
        self.notes = frozenset(
            {
                f"collection {self.later} came after the backup and was deleted",
                f"alias {self.later}_alias of {self.later} came after the backup and was deleted",
            }
        )
        opened.callback(self.scratch.rest.call, "DELETE", path_of(self._beside))
        opened.callback(self.clear)
        self.create(self._beside)

    def create(self, collection: str) -> None:
        """Create a collection with one vector a point and no payload, whose distance is Cosine."""
        self.scratch.create(collection, OTHER)
        points = [
            {"id": number, "vector": [number, 0.1, -3.0, 1 / 3], "payload": None}
            for number in range(1, OTHERS + 1)
        ]
        self.scratch.rest.call("PUT", f"{path_of(collection)}/points?wait=true", {"points": points})

    def clear(self) -> None:
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

    def fill(self, kind: str = WHOLE) -> Mapping[str, int]:
        self.clear()
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

    def beside(self) -> object:
        return self.observed(self._beside)

    def add(self) -> None:
        self.create(self.later)
        self.scratch.point(f"{self.later}_alias", self.later)

    def step(self, keeper: StoreKeeper) -> tuple[object, str]:
        return keeper, "_send"

    def reading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        return keeper, "_fetch", lambda: self.scratch.put(7, at=901)

    def loading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        return keeper, "_create_aliases", lambda: self.scratch.put(7, at=901)
