"""Milvus as a subject of the contract: a server of its own, which is stopped and replaced whole."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
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
from rollproof.stores.reach import Reach
from tests.stack import milvus_content_scratch as every
from tests.stack.milvus_content_scratch import entity
from tests.stack.milvus_scratch import SECONDS, Scratch
from tests.stack.stores.keeping.subject import WHOLE, Bench, Chosen, Damage, Exported, Subject
from tests.waiting import until

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
ENTITIES = 200
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


def _scratch(harm: Callable[[Scratch], object]) -> Damage:
    return lambda subject: subject.change(harm)


def _another_metric(scratch: Scratch) -> None:
    scratch.client.drop_collection("other", timeout=SECONDS)
    scratch.create("other", ENTITIES, metric="L2")


class Milvus(Subject):
    """A Milvus with a volume of its own. Each restart takes several seconds of the processor."""

    shown: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "7": {**entity(7, **ODD), "vector": pytest.approx(ODD["vector"]), "single": pytest.approx(0.1)}
    }
    exclude = ("word", "vector", "own", "floats")
    absent = "absent"

    rounds: ClassVar[Mapping[str, Mapping[str, Damage]]] = {
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
    disturbed = f"plain {ENTITIES + 3} records instead of {ENTITIES} records"

    def __init__(self, bench: Bench, opened: ExitStack) -> None:
        image = bench.engine.containers()[bench.target.stores["milvus"].services[0]][0].image_id
        folder = bench.new_folder("milvus")
        password = uuid.uuid4().hex[:20]
        for user in ("root", "app", "reader"):
            (folder / user).write_text(password)
        file = folder / "compose.yaml"
        file.write_text(COMPOSE_FILE.format(image=image))
        project = f"rollproof-test-{uuid.uuid4().hex[:8]}"
        compose = ["docker", "compose", "--project-name", project, "--file", str(file)]
        down = [*compose, "down", "--volumes", "--timeout", "1"]
        opened.callback(subprocess.run, down, check=True, capture_output=True, timeout=120)
        up = [*compose, "up", "--detach", "--no-build", "--wait", "--wait-timeout", "300"]
        subprocess.run(up, check=True, capture_output=True, timeout=360)
        self.control = ComposeControl(Engine(kind="compose", project=project, files=(file,)))
        self._engine = ComposeEngine(project, 10)
        account = Account(user="root", password=SecretStr(password))
        self.profile = MilvusProfile(
            kind="milvus",
            address=Address(service="milvus", port=19530),
            services=("milvus",),
            risk="high",
            operator=account,
            reader=account,
        )
        self.settle("milvus", self.profile, self._engine.resolve(self.profile.address), self.control)
        self._client: MilvusClient | None = None
        opened.callback(self.close)

    # A connection does not outlive a restart for certain.

    def connected(self) -> MilvusClient:
        """Return a new connection, to a server that runs."""
        self.close()
        if not self.running():
            self.control.start(["milvus"], deadline=2 * SECONDS)
        self.place = self.place.at(self._engine.resolve(self.profile.address))
        assert self.profile.operator is not None
        reach = Reach("milvus", self.place.endpoint, self.profile.operator, SECONDS)
        self._client = milvus_client.Milvus(reach, self.profile.database).connect()
        return self._client

    def running(self) -> bool:
        return self._engine.containers()["milvus"][0].running

    def change(self, change: Callable[[Scratch], object]) -> None:
        change(Scratch(self._client or self.connected(), ""))

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def clear(self) -> None:
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

    def fill(self, kind: str = WHOLE) -> Mapping[str, int]:
        self.clear()
        scratch = Scratch(self.client, "")
        scratch.create("plain", ENTITIES)
        scratch.create("other", ENTITIES, metric="IP")
        scratch.create("third", ENTITIES)
        scratch.create("empty", 0)
        scratch.create("released", ENTITIES, load=False)
        return {"plain": ENTITIES, "other": ENTITIES, "third": ENTITIES, "empty": 0}

    def counts(self) -> Mapping[str, int]:
        # What is not loaded cannot be counted.
        loaded = self.place.but(collections=("plain", "other", "third", "empty"))
        with loaded.view() as view:
            return view.counts()

    def observe(self) -> object:
        def content() -> Mapping[str, Any]:
            # The health check passes before every collection can be read again.
            with suppress(MilvusException):
                found = Scratch(self.connected(), "").content()
                if not any(collection["state"] == "Loading" for collection in found.values()):
                    return found
            return {}

        return until(content)

    def beside(self) -> object:
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

        patch.setattr(keeper, "_profile", self.profile.model_copy(update={"ready_seconds": 2}))
        patch.setattr(self.watched, "stop", insert, raising=False)


def _named(record: RecordHash) -> tuple[str, int]:
    return record.key, record.hash


def _nameless(record: RecordHash) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(record.fields.items()))
