"""The write side of Milvus, on a Milvus of its own: it is stopped, and all that it holds is replaced."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydantic import SecretStr
from pymilvus import MilvusException

from fixtures.engines.compose import ComposeEngine
from fixtures.engines.engine import ContainerEngine
from fixtures.errors import ActionFailed
from fixtures.stores.milvus import connect
from fixtures.stores.profiles import Account, Address, MilvusProfile
from fixtures.stores.reach import Reach
from fixtures.target import Engine, Target
from rollback_actions.compose import ComposeControl
from rollback_actions.stores.milvus import Keeper
from tests.stack.milvus_scratch import SECONDS, Scratch
from tests.stack.scratch_stores import expect_damage_refused

COMPOSE_FILE = """
services:
  milvus:
    image: {image}
    secrets: [milvus_root, milvus_app, milvus_reader]
    ports: ["127.0.0.1::19530"]
    volumes: ["data:/var/lib/milvus"]
    healthcheck:
      {{test: [CMD, healthcheck], interval: 2s, timeout: 10s, start_period: 120s, start_interval: 500ms}}
    stop_grace_period: 5s
    mem_limit: 4g
volumes:
  data: {{}}
secrets:
  milvus_root: {{file: ./root}}
  milvus_app: {{file: ./app}}
  milvus_reader: {{file: ./reader}}
"""
ENTITIES = 200


@dataclass(frozen=True, slots=True)
class Server:
    """A running Milvus with its own volume."""

    engine: ComposeEngine
    control: ComposeControl
    profile: MilvusProfile

    def keeper(self, control: ComposeControl | None = None) -> Keeper:
        endpoint = self.engine.resolve(self.profile.address)
        return Keeper("milvus", self.profile, endpoint, control or self.control)

    def scratch(self) -> Scratch:
        """Return a new connection, since one does not outlive a restart for certain."""
        assert self.profile.operator is not None
        reach = Reach("milvus", self.engine.resolve(self.profile.address), self.profile.operator, SECONDS)
        return Scratch(connect(reach, self.profile.database), "")

    def content(self) -> dict[str, object]:
        scratch = self.scratch()
        try:
            return scratch.content()
        finally:
            scratch.client.close()

    def change(self, change: Callable[[Scratch], None]) -> None:
        scratch = self.scratch()
        try:
            change(scratch)
        finally:
            scratch.client.close()


@pytest.fixture(scope="module")
def server(
    target: Target, engine: ContainerEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    image = engine.containers()[target.stores["milvus"].services[0]][0].image_id
    folder = tmp_path_factory.mktemp("milvus")
    password = uuid.uuid4().hex[:20]
    for user in ("root", "app", "reader"):
        (folder / user).write_text(password)
    file = folder / "compose.yaml"
    file.write_text(COMPOSE_FILE.format(image=image))
    project = f"rollproof-test-{uuid.uuid4().hex[:8]}"
    compose = ["docker", "compose", "--project-name", project, "--file", str(file)]
    account = Account(user="root", password=SecretStr(password))
    try:
        up = [*compose, "up", "--detach", "--no-build", "--wait", "--wait-timeout", "150"]
        subprocess.run(up, check=True, capture_output=True, timeout=180)
        yield Server(
            ComposeEngine(project, 10),
            ComposeControl(Engine(kind="compose", project=project, files=(file,))),
            MilvusProfile(
                kind="milvus",
                address=Address(service="milvus", port=19530),
                services=("milvus",),
                risk="high",
                operator=account,
                reader=account,
            ),
        )
    finally:
        down = [*compose, "down", "--volumes", "--timeout", "1"]
        subprocess.run(down, check=True, capture_output=True, timeout=120)


@pytest.fixture
def filled(server: Server) -> Iterator[Server]:
    """The server with collections of every kind, and nothing else."""

    def clear(scratch: Scratch) -> None:
        for name in scratch.client.list_collections(timeout=SECONDS):
            scratch.client.drop_collection(name, timeout=SECONDS)

    def fill(scratch: Scratch) -> None:
        clear(scratch)
        scratch.create("plain", ENTITIES)
        scratch.create("other", ENTITIES, metric="IP")
        scratch.create("third", ENTITIES)
        scratch.create("empty", 0)
        scratch.create("released", ENTITIES, load=False)

    server.change(fill)
    yield server
    server.change(clear)


def every_damage(scratch: Scratch) -> None:
    """Damage each collection in a way of its own; one restore has to mend them all."""
    client = scratch.client
    client.drop_collection("plain", timeout=SECONDS)
    client.drop_collection("other", timeout=SECONDS)
    scratch.create("other", ENTITIES, metric="L2")
    client.delete("third", filter="pk < 10", timeout=SECONDS)
    scratch.insert("third", range(1000, 1010), word="wrong")
    client.release_collection("third", timeout=SECONDS)
    scratch.insert("empty", range(3))
    client.load_collection("released", timeout=SECONDS)
    scratch.create("later", 7)


def test_a_restore_brings_back_what_was_there(filled: Server, tmp_path: Path) -> None:
    before = filled.content()
    records = {"plain": ENTITIES, "other": ENTITIES, "third": ENTITIES, "empty": 0}
    kept = filled.keeper().back_up(tmp_path)
    assert kept.records == records
    assert filled.content() == before, "a backup leaves the store as it was"
    filled.change(every_damage)
    expect_damage_refused(filled.keeper(), tmp_path, filled.content)
    restored = filled.keeper().restore(tmp_path)
    assert restored.records == records
    assert restored.notes == (
        "released was not loaded when it was backed up: it is back, and was not counted",
    )
    assert filled.content() == before
    filled.keeper().restore(tmp_path)
    assert filled.content() == before


def test_the_server_runs_again_after_a_backup_that_failed(
    filled: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_services_and_folder: object, **_deadline: float) -> Sequence[Path]:
        raise KeyboardInterrupt

    before = filled.content()
    monkeypatch.setattr(filled.control, "save_volumes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        filled.keeper().back_up(tmp_path)
    assert not (tmp_path / "backup.json").exists()
    assert filled.engine.containers()["milvus"][0].running
    monkeypatch.undo()
    # The health check passes before every collection can be read again.
    filled.keeper().back_up(tmp_path)
    assert filled.content() == before


def test_a_backup_of_what_changes_meanwhile_is_refused(
    filled: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = filled.control.stop

    def write_and_stop(services: Sequence[str], *, deadline: float) -> None:
        filled.change(lambda scratch: scratch.insert("plain", range(5000, 5003)))
        stop(services, deadline=deadline)

    monkeypatch.setattr(filled.control, "stop", write_and_stop)
    keeper = filled.keeper()
    monkeypatch.setattr(keeper, "_profile", filled.profile.model_copy(update={"ready_seconds": 15}))
    with pytest.raises(ActionFailed, match=f"plain {ENTITIES + 3} records instead of {ENTITIES} records"):
        keeper.back_up(tmp_path)
    assert not (tmp_path / "backup.json").exists()


@pytest.mark.parametrize("state", ["up", "down", "up, and cannot flush"])
def test_what_is_kept_aside_can_be_put_back(filled: Server, tmp_path: Path, state: str) -> None:
    before, asked, server = filled.content(), state == "up", filled
    if state == "up, and cannot flush":
        # An account that may list the collections, and not flush them.
        assert filled.profile.reader is not None
        reader = filled.profile.reader.model_copy(update={"user": "reader"})
        server = replace(filled, profile=filled.profile.model_copy(update={"operator": reader}))
    keeper = server.keeper()
    if state == "down":
        filled.control.stop(["milvus"], deadline=SECONDS)
    kept = keeper.keep_aside(tmp_path, up=state != "down")
    assert bool(kept.records) is asked
    assert ("could not be flushed" in kept.method) is (server is not filled)
    assert not filled.engine.containers()["milvus"][0].running
    filled.control.start(["milvus"], deadline=SECONDS)
    _wait_until(filled, before)
    filled.change(lambda scratch: scratch.client.drop_collection("plain", timeout=SECONDS))
    restored = filled.keeper().restore(tmp_path)
    assert ("it could not be asked when it was kept: nothing to compare with" in restored.notes) is not asked
    _wait_until(filled, before)


def _wait_until(server: Server, content: dict[str, object]) -> None:
    """Wait for `content`: the health check passes before every collection can be read again."""
    end = time.monotonic() + 2 * SECONDS
    while True:
        with suppress(MilvusException):
            if server.content() == content:
                return
        assert time.monotonic() < end
        time.sleep(0.5)
