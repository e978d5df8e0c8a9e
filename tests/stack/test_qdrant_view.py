"""The read side of Qdrant, against the stack's own."""

from __future__ import annotations

import time
import traceback
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydantic import SecretStr

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import Unverifiable
from fixtures.stores.profiles import ApiKey, QdrantProfile
from fixtures.stores.qdrant import Rest, View
from fixtures.stores.view import VectorView
from fixtures.target import Target
from tests.stack.faults import closed_port, silent_port

POINTS = 60
WRONG_KEY = "correct-horse-battery-staple"


@pytest.fixture
def endpoint(target: Target, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(target.stores["qdrant"].address)


@pytest.fixture
def profile(target: Target) -> QdrantProfile:
    store = target.stores["qdrant"]
    assert isinstance(store, QdrantProfile)
    return store.model_copy(update={"collections": (f"scratch_{uuid.uuid4().hex[:8]}_*",)})


@pytest.fixture
def name(profile: QdrantProfile) -> str:
    return profile.collections[0].removesuffix("*")


@pytest.fixture
def operator(profile: QdrantProfile, endpoint: Endpoint) -> Iterator[Rest]:
    rest = Rest("qdrant", endpoint, profile.operator, 20)
    yield rest
    for collection in rest.collections(profile.collections):
        rest.call("DELETE", f"/collections/{collection}")


@pytest.fixture
def collections(operator: Rest, name: str) -> str:
    """Make one collection with points and an empty one; return the name of the first."""
    for suffix in ("full", "empty"):
        body = {"vectors": {"size": 3, "distance": "Cosine"}}
        operator.call("PUT", f"/collections/{name}{suffix}", body)
    points = [{"id": i, "vector": [1.0, i / 7, -i / 3], "payload": {"n": i}} for i in range(POINTS)]
    operator.call("PUT", f"/collections/{name}full/points?wait=true", {"points": points})
    return f"{name}full"


@pytest.fixture
def view(profile: QdrantProfile, endpoint: Endpoint) -> View:
    return View("qdrant", profile, endpoint)


def test_counts_are_exact(view: View, operator: Rest, name: str, collections: str) -> None:
    assert view.counts() == {f"{name}empty": 0, f"{name}full": POINTS}
    operator.call("POST", f"/collections/{collections}/points/delete?wait=true", {"points": [3, 4]})
    assert view.counts() == {f"{name}empty": 0, f"{name}full": POINTS - 2}


def test_ask_touches_a_collection_that_holds_points(view: View, collections: str) -> None:
    answer = view.ask()
    assert (answer.collection, answer.records) == (collections, POINTS)
    assert "(stand-in)" in answer.server


def test_ask_without_a_collection_is_unverifiable(view: View) -> None:
    with pytest.raises(Unverifiable, match="observed none"):
        view.ask()


def test_search_finds_the_vector_it_took(view: View, name: str, collections: str) -> None:
    found = view.search(collections, limit=3)
    assert found is not None
    assert found.hits[0].key == found.probe
    assert len(found.hits) == 3
    assert view.search(f"{name}empty") is None


def test_a_collection_that_serves_is_loaded(view: View, collections: str) -> None:
    assert isinstance(view, VectorView)
    assert view.load_state(collections) == "loaded"


def test_a_missing_collection_is_unverifiable(view: View, name: str) -> None:
    with pytest.raises(Unverifiable, match="404"):
        view.load_state(f"{name}absent")


def test_the_reader_can_write_nothing(profile: QdrantProfile, endpoint: Endpoint, name: str) -> None:
    reader = Rest("qdrant", endpoint, profile.reader, 5)
    with pytest.raises(Unverifiable, match="403"):
        reader.call("PUT", f"/collections/{name}x", {"vectors": {"size": 3, "distance": "Cosine"}})


def test_a_wrong_key_is_unverifiable_and_not_told(profile: QdrantProfile, endpoint: Endpoint) -> None:
    wrong = profile.model_copy(update={"reader": ApiKey(key=SecretStr(WRONG_KEY))})
    with pytest.raises(Unverifiable, match="401") as caught:
        View("qdrant", wrong, endpoint).counts()
    assert WRONG_KEY not in "".join(traceback.format_exception(caught.value))


def test_a_closed_port_is_unverifiable(profile: QdrantProfile, endpoint: Endpoint) -> None:
    with pytest.raises(Unverifiable, match="refused"):
        View("qdrant", profile, replace(endpoint, host="127.0.0.1", port=closed_port())).counts()


def test_silence_ends_at_the_deadline(profile: QdrantProfile) -> None:
    hasty = profile.model_copy(update={"deadline_seconds": 1.0})
    with silent_port() as port:
        started = time.monotonic()
        with pytest.raises(Unverifiable, match="within 1 s"):
            View("qdrant", hasty, Endpoint("127.0.0.1", port)).counts()
    assert time.monotonic() - started < 3
