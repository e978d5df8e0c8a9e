"""The write side of Qdrant: what was backed up comes back whatever was done to it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import ActionFailed
from fixtures.stores.profiles import QdrantProfile
from fixtures.stores.qdrant import Rest
from fixtures.target import Target
from rollback_actions.containers import ContainerControl
from rollback_actions.stores.keeper import kept_by
from rollback_actions.stores.qdrant import Keeper
from tests.stack.faults import SPOILED, spoil

POINTS = 40


class Scratch:
    """Two collections of a name of their own, one with an index, and an alias."""

    def __init__(self, rest: Rest, name: str) -> None:
        self.rest = rest
        self.name = name
        self.first, self.second, self.later = f"{name}first", f"{name}second", f"{name}later"
        self.alias = f"{name}alias"
        for collection in (self.first, self.second):
            self.create(collection, 3)
        index = {"field_name": "word", "field_schema": "keyword"}
        rest.call("PUT", f"/collections/{self.first}/index?wait=true", index)
        self.point_alias(self.alias, self.first)

    def create(self, collection: str, size: int) -> None:
        body = {"vectors": {"size": size, "distance": "Dot"}}
        self.rest.call("PUT", f"/collections/{collection}", body)
        points = [
            {"id": i, "vector": [i / 9] * size, "payload": {"word": f"w{i}", "deep": {"n": [i, None]}}}
            for i in range(POINTS)
        ]
        self.rest.call("PUT", f"/collections/{collection}/points?wait=true", {"points": points})

    def point_alias(self, alias: str, collection: str) -> None:
        action = {"create_alias": {"alias_name": alias, "collection_name": collection}}
        self.rest.call("POST", "/collections/aliases", {"actions": [action]})

    def content(self) -> dict[str, Any]:
        """Return everything that a restore has to bring back."""
        found: dict[str, Any] = {}
        for collection in self.rest.collections([f"{self.name}*"]):
            info = self.rest.call("GET", f"/collections/{collection}")
            request = {"limit": 1000, "with_vector": True, "with_payload": True}
            points = self.rest.call("POST", f"/collections/{collection}/points/scroll", request)["points"]
            found[collection] = (info["config"], info["payload_schema"], points)
        aliases = self.rest.call("GET", "/aliases")["aliases"]
        found["aliases"] = [each for each in aliases if each["alias_name"].startswith(self.name)]
        return found

    def clear(self) -> None:
        for collection in self.rest.collections([f"{self.name}*"]):
            self.rest.call("DELETE", f"/collections/{collection}")


@pytest.fixture
def endpoint(target: Target, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(target.stores["qdrant"].address)


@pytest.fixture
def profile(target: Target) -> QdrantProfile:
    store = target.stores["qdrant"]
    assert isinstance(store, QdrantProfile)
    return store.model_copy(update={"collections": (f"scratch_{uuid.uuid4().hex[:8]}_*",)})


@pytest.fixture
def scratch(profile: QdrantProfile, endpoint: Endpoint) -> Iterator[Scratch]:
    rest = Rest("qdrant", endpoint, profile.operator, 20)
    made = Scratch(rest, profile.collections[0].removesuffix("*"))
    yield made
    made.clear()


@pytest.fixture
def keeper(profile: QdrantProfile, endpoint: Endpoint, control: ContainerControl) -> Keeper:
    return Keeper("qdrant", profile, endpoint, control)


def nothing(_scratch: Scratch) -> None:
    """Leave all as it is."""


def points_deleted(scratch: Scratch) -> None:
    scratch.rest.call("POST", f"/collections/{scratch.first}/points/delete?wait=true", {"points": [1, 2]})


def points_added(scratch: Scratch) -> None:
    points = [{"id": 900, "vector": [1, 1, 1], "payload": {}}]
    scratch.rest.call("PUT", f"/collections/{scratch.first}/points?wait=true", {"points": points})


def vectors_changed(scratch: Scratch) -> None:
    points = [{"id": 5, "vector": [9, 9, 9], "payload": {"word": "w5", "deep": {"n": [5, None]}}}]
    scratch.rest.call("PUT", f"/collections/{scratch.first}/points?wait=true", {"points": points})


def payload_changed(scratch: Scratch) -> None:
    body = {"payload": {"word": "other"}, "points": [7]}
    scratch.rest.call("POST", f"/collections/{scratch.first}/points/payload?wait=true", body)


def collection_deleted(scratch: Scratch) -> None:
    scratch.rest.call("DELETE", f"/collections/{scratch.first}")


def another_dimension(scratch: Scratch) -> None:
    scratch.rest.call("DELETE", f"/collections/{scratch.second}")
    scratch.create(scratch.second, 5)


def index_deleted(scratch: Scratch) -> None:
    scratch.rest.call("DELETE", f"/collections/{scratch.first}/index/word?wait=true")


def collection_added(scratch: Scratch) -> None:
    scratch.create(scratch.later, 3)
    scratch.point_alias(f"{scratch.name}later_alias", scratch.later)


def alias_moved(scratch: Scratch) -> None:
    scratch.point_alias(scratch.alias, scratch.second)


def alias_took_the_name(scratch: Scratch) -> None:
    scratch.rest.call("DELETE", f"/collections/{scratch.first}")
    scratch.create(scratch.later, 3)
    scratch.point_alias(scratch.first, scratch.later)


DAMAGE: tuple[Callable[[Scratch], None], ...] = (
    nothing,
    points_deleted,
    points_added,
    vectors_changed,
    payload_changed,
    collection_deleted,
    another_dimension,
    index_deleted,
    collection_added,
    alias_moved,
    alias_took_the_name,
)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_restore_brings_back_what_was_there(
    keeper: Keeper, scratch: Scratch, tmp_path: Path, damage: Callable[[Scratch], None]
) -> None:
    before = scratch.content()
    kept = keeper.back_up(tmp_path)
    assert kept.records == {scratch.first: POINTS, scratch.second: POINTS}
    damage(scratch)
    assert (scratch.content() == before) == (damage is nothing)
    assert keeper.restore(tmp_path).records == kept.records
    assert scratch.content() == before
    assert keeper.restore(tmp_path).notes == ()
    assert scratch.content() == before


def test_a_backup_leaves_no_snapshot_on_the_server(keeper: Keeper, scratch: Scratch, tmp_path: Path) -> None:
    keeper.back_up(tmp_path)
    assert scratch.rest.call("GET", f"/collections/{scratch.first}/snapshots") == []


def test_collections_that_are_not_of_the_profile_stay(
    profile: QdrantProfile, endpoint: Endpoint, control: ContainerControl, scratch: Scratch, tmp_path: Path
) -> None:
    chosen = profile.model_copy(update={"collections": (scratch.first,)})
    keeper = Keeper("qdrant", chosen, endpoint, control)
    keeper.back_up(tmp_path)
    points_added(scratch)
    scratch.rest.call("POST", f"/collections/{scratch.second}/points/delete?wait=true", {"points": [1]})
    changed = scratch.content()[scratch.second]
    keeper.restore(tmp_path)
    assert scratch.content()[scratch.second] == changed


@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_backup_is_refused_before_anything_changes(
    keeper: Keeper, scratch: Scratch, tmp_path: Path, how: str
) -> None:
    keeper.back_up(tmp_path)
    points_deleted(scratch)
    damaged = scratch.content()
    spoil(tmp_path, how)
    with pytest.raises(ActionFailed):
        keeper.restore(tmp_path)
    assert scratch.content() == damaged


def test_a_backup_of_what_changes_meanwhile_is_refused(
    keeper: Keeper, scratch: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = keeper._fetch

    def fetch_late(name: str, file: Path) -> object:
        fetched = fetch(name, file)
        points_added(scratch)
        return fetched

    monkeypatch.setattr(keeper, "_fetch", fetch_late)
    with pytest.raises(ActionFailed, match="something writes"):
        keeper.back_up(tmp_path)
    assert not (tmp_path / "backup.json").exists()


def test_collections_that_were_dropped_stop_no_copy_before_a_restore(
    keeper: Keeper, scratch: Scratch, tmp_path: Path
) -> None:
    scratch.clear()
    kept = kept_by(keeper, up=True)
    assert kept is not None
    assert kept.back_up(tmp_path).records == {}
