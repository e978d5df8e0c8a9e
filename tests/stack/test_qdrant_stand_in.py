"""The Qdrant stand-in: it keeps the data of Qdrant's own client, and refuses the requests Qdrant refuses.

The collection's name has a space, which has to survive every address and file name.
"""

from __future__ import annotations

import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from http import HTTPStatus

import docker
import httpx2
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from staging.stack.stack import Stack

DEADLINE_SECONDS = 60
SIZE = 8
POINTS = 50


@pytest.fixture(scope="module")
def url(stack: Stack) -> str:
    """Where the server is."""
    return f"http://127.0.0.1:{stack.slot.ports}333"


def connect(url: str, key: str) -> QdrantClient:
    with warnings.catch_warnings():
        # The connection does not leave this machine.
        warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
        return QdrantClient(url=url, api_key=key, timeout=DEADLINE_SECONDS)


@pytest.fixture(scope="module")
def keys(stack: Stack) -> dict[str, str]:
    """The full and the read-only key."""
    return {name: (stack.state.secrets / f"qdrant_{name}").read_text() for name in ("operator", "reader")}


@pytest.fixture(scope="module")
def operator(url: str, keys: dict[str, str]) -> Iterator[QdrantClient]:
    client = connect(url, keys["operator"])
    yield client
    client.close()


@pytest.fixture(scope="module")
def reader(url: str, keys: dict[str, str]) -> Iterator[QdrantClient]:
    client = connect(url, keys["reader"])
    yield client
    client.close()


@pytest.fixture
def collection(operator: QdrantClient) -> Iterator[str]:
    """A collection of its own, with a payload index."""
    name = f"test {uuid.uuid4()}"
    operator.create_collection(name, models.VectorParams(size=SIZE, distance=models.Distance.COSINE))
    operator.create_payload_index(name, "kind", models.PayloadSchemaType.KEYWORD)
    operator.upsert(name, [point(number) for number in range(POINTS)])
    yield name
    operator.delete_collection(name)


def point(number: int) -> models.PointStruct:
    """Return a point whose vector leans to one axis, and whose payload has every kind of JSON value."""
    return models.PointStruct(
        id=str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))),
        vector=[1.0 if axis == number % SIZE else number / 1000 for axis in range(SIZE)],
        payload={
            "number": number,
            "ratio": 1.0,
            "kind": "even" if number % 2 == 0 else "odd",
            "nothing": None,
            "nested": {"list": [1, "two", {"three": True}]},
        },
    )


def content(client: QdrantClient, name: str) -> list[tuple[object, object, object]]:
    """Return every point of a collection, page by page."""
    found: list[models.Record] = []
    offset: models.ExtendedPointId | None = None
    while True:
        page, following = client.scroll(name, limit=7, offset=offset, with_vectors=True)
        found += page
        if following is None:
            return [(record.id, record.vector, record.payload) for record in found]
        assert isinstance(following, int | str)
        offset = following


def recover_by_upload(url: str, name: str, key: str, data: bytes, checksum: str) -> httpx2.Response:
    return httpx2.post(
        f"{url}/collections/{name}/snapshots/upload",
        params={"wait": "true", "priority": "snapshot", "checksum": checksum},
        headers={"api-key": key},
        files={"snapshot": ("snapshot", data)},
        timeout=DEADLINE_SECONDS,
    )


def test_the_read_only_key_writes_nothing(
    operator: QdrantClient, reader: QdrantClient, collection: str
) -> None:
    before = content(operator, collection)
    attempts: list[Callable[[], object]] = [
        lambda: reader.upsert(collection, [point(1000)]),
        lambda: reader.delete(collection, [str(before[0][0])]),
        lambda: reader.set_payload(collection, {"number": 0}, points=[str(before[0][0])]),
        lambda: reader.create_snapshot(collection),
        lambda: reader.delete_collection(collection),
        lambda: reader.create_collection(
            "another", models.VectorParams(size=1, distance=models.Distance.DOT)
        ),
    ]
    for attempt in attempts:
        with pytest.raises(UnexpectedResponse) as refused:
            attempt()
        assert refused.value.status_code == HTTPStatus.FORBIDDEN
    assert content(operator, collection) == before


@pytest.mark.parametrize("key", ["", "another"])
def test_no_key_and_a_wrong_key_are_refused(url: str, key: str) -> None:
    answer = httpx2.get(f"{url}/collections", headers={"api-key": key}, timeout=DEADLINE_SECONDS)
    assert answer.status_code == HTTPStatus.UNAUTHORIZED


def test_a_snapshot_brings_a_collection_back(
    url: str, operator: QdrantClient, keys: dict[str, str], collection: str
) -> None:
    before = content(operator, collection)
    snapshot = operator.create_snapshot(collection)
    assert snapshot is not None
    assert snapshot.checksum is not None
    assert [each.name for each in operator.list_snapshots(collection)] == [snapshot.name]
    address = f"{url}/collections/{collection}/snapshots/{snapshot.name}"
    data = httpx2.get(address, headers={"api-key": keys["reader"]}, timeout=DEADLINE_SECONDS).content
    operator.delete(collection, models.Filter(must=[]))
    operator.delete_collection(collection)
    answer = recover_by_upload(url, collection, keys["operator"], data, snapshot.checksum)
    assert answer.status_code == HTTPStatus.OK, answer.text
    assert content(operator, collection) == before
    assert "kind" in operator.get_collection(collection).payload_schema


def test_a_damaged_snapshot_changes_nothing(
    url: str, operator: QdrantClient, keys: dict[str, str], collection: str
) -> None:
    before = content(operator, collection)
    snapshot = operator.create_snapshot(collection)
    assert snapshot is not None
    assert snapshot.checksum is not None
    address = f"{url}/collections/{collection}/snapshots/{snapshot.name}"
    data = httpx2.get(address, headers={"api-key": keys["operator"]}, timeout=DEADLINE_SECONDS).content
    for damaged in (data[: len(data) // 2], b"", data + b"x"):
        answer = recover_by_upload(url, collection, keys["operator"], damaged, snapshot.checksum)
        assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert content(operator, collection) == before


def test_what_the_stand_in_lacks_is_refused_by_name(url: str, keys: dict[str, str]) -> None:
    answer = httpx2.post(f"{url}/snapshots", headers={"api-key": keys["operator"]}, timeout=DEADLINE_SECONDS)
    assert answer.status_code == HTTPStatus.NOT_IMPLEMENTED
    assert "a snapshot of the whole storage" in answer.json()["status"]["error"]


def test_data_survives_kill_9(stack: Stack, operator: QdrantClient, collection: str) -> None:
    operator.upsert(collection, [point(number) for number in range(POINTS, 2 * POINTS)])
    before = content(operator, collection)
    (name,) = [status.container for status in stack.status() if status.service == "qdrant"]
    client = docker.from_env(timeout=DEADLINE_SECONDS)
    container = client.containers.get(name)
    container.kill()
    container.start()
    client.close()
    give_up = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            after = content(operator, collection)
            break
        except ResponseHandlingException:
            assert time.monotonic() < give_up
            time.sleep(0.1)
    assert after == before
    assert len(after) == 2 * POINTS
