"""The read side of Milvus, against the stack's own."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from pymilvus.exceptions import MilvusException

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import Unverifiable
from fixtures.stores.milvus import View, connect
from fixtures.stores.profiles import MilvusProfile
from fixtures.stores.reach import NOBODY, Reach
from fixtures.stores.view import VectorView
from fixtures.target import Target
from tests.stack.milvus_scratch import SECONDS, Scratch
from tests.stack.scratch_stores import changed, expect_unverifiable, nowhere, silence, with_wrong_password

ENTITIES = 300


@pytest.fixture
def endpoint(target: Target, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(target.stores["milvus"].address)


@pytest.fixture
def profile(target: Target) -> MilvusProfile:
    store = target.stores["milvus"]
    assert isinstance(store, MilvusProfile)
    return changed(store, collections=(f"scratch_{uuid.uuid4().hex[:8]}_*",))


@pytest.fixture
def scratch(profile: MilvusProfile, endpoint: Endpoint) -> Iterator[Scratch]:
    reach = Reach("milvus", endpoint, profile.operator or NOBODY, SECONDS)
    made = Scratch(connect(reach, profile.database), profile.collections[0].removesuffix("*"))
    yield made
    made.clear()


@pytest.fixture
def view(profile: MilvusProfile, endpoint: Endpoint) -> Iterator[View]:
    with View("milvus", profile, endpoint) as opened:
        yield opened


def test_counts_are_exact(view: View, scratch: Scratch) -> None:
    full, empty = scratch.create("full", ENTITIES), scratch.create("empty", 0)
    # Nothing was flushed: the server's own statistics say 0 here.
    assert scratch.client.get_collection_stats(full, timeout=SECONDS)["row_count"] == 0
    assert view.counts() == {empty: 0, full: ENTITIES}
    scratch.client.delete(full, filter="pk in [3, 4]", timeout=SECONDS)
    assert view.counts() == {empty: 0, full: ENTITIES - 2}
    scratch.insert(full, range(ENTITIES, ENTITIES + 5))
    assert view.counts() == {empty: 0, full: ENTITIES + 3}


def test_ask_touches_a_collection_that_holds_entities(view: View, scratch: Scratch) -> None:
    scratch.create("empty", 0)
    full = scratch.create("full", ENTITIES)
    answer = view.ask()
    assert (answer.collection, answer.records) == (full, ENTITIES)
    assert answer.server.startswith("Milvus v")


def test_ask_without_a_collection_is_unverifiable(view: View) -> None:
    with pytest.raises(Unverifiable, match="observed none"):
        view.ask()


def test_search_finds_the_vector_it_took(view: View, scratch: Scratch) -> None:
    full, empty = scratch.create("full", ENTITIES), scratch.create("empty", 0)
    found = view.search(full, limit=3)
    assert found is not None
    assert found.hits[0].key == found.probe
    assert len(found.hits) == 3
    assert view.search(empty) is None


def test_what_is_not_loaded_is_told_and_not_counted(view: View, scratch: Scratch) -> None:
    loaded = scratch.create("loaded", 5)
    released = scratch.create("released", 5, load=False)
    assert isinstance(view, VectorView)
    assert view.load_state(loaded) == "loaded"
    assert view.load_state(released) == "not loaded"
    with pytest.raises(Unverifiable, match="not loaded"):
        view.counts()
    state = scratch.client.get_load_state(released, timeout=SECONDS)["state"].name
    assert state == "NotLoad", "a view loads nothing"


def test_the_reader_can_write_nothing(view: View, scratch: Scratch) -> None:
    full = scratch.create("full", 5)
    client = view._client()
    attempts: list[Callable[[], object]] = [
        lambda: client.delete(full, filter="pk == 1", timeout=SECONDS),
        lambda: client.drop_collection(full, timeout=SECONDS),
        lambda: client.flush(full, timeout=SECONDS),
        lambda: client.release_collection(full, timeout=SECONDS),
    ]
    for attempt in attempts:
        with pytest.raises(Exception, match="permission deny"):
            attempt()
    assert view.counts() == {full: 5}


def test_a_wrong_password_is_unverifiable_and_not_told(profile: MilvusProfile, endpoint: Endpoint) -> None:
    expect_unverifiable(View("milvus", with_wrong_password(profile), endpoint), "UNAUTHENTICATED")


def test_a_closed_port_is_unverifiable(profile: MilvusProfile) -> None:
    expect_unverifiable(View("milvus", profile, nowhere()), "UNAVAILABLE", "refused")


def test_silence_ends_at_the_deadline(profile: MilvusProfile) -> None:
    with silence() as endpoint:
        started = time.monotonic()
        expect_unverifiable(View("milvus", changed(profile, deadline_seconds=1.0), endpoint), "DEADLINE")
    assert time.monotonic() - started < 6


def test_a_connection_outlives_an_error(view: View, scratch: Scratch) -> None:
    full = scratch.create("full", 5)
    with pytest.raises(Unverifiable, match="not found"):
        view.search(f"{scratch.name}absent")
    assert view.counts() == {full: 5}


def test_an_unknown_database_is_unverifiable(profile: MilvusProfile, endpoint: Endpoint) -> None:
    expect_unverifiable(View("milvus", changed(profile, database="absent"), endpoint), "absent")


def test_the_driver_still_raises_what_is_translated() -> None:
    """The translation hangs on these: a release that renames them must be seen here first."""
    assert issubclass(MilvusException, Exception)
    assert {"code", "message"} <= set(dir(MilvusException()))
