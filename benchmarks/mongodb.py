"""MongoDB: content digests and the server's own `dbHash`, and how both delay an application that writes.

The account must be able to write and to run `dbHash`. The benchmark's own database is dropped at the end.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from queue import Queue
from random import Random
from typing import cast

import typer
from pymongo import MongoClient

from benchmarks.measure import Measure, measure, side_by_side
from rollproof.engines.engine import Endpoint
from rollproof.profile.sections import Account, Address
from rollproof.stores.contract import Digest, Pace
from rollproof.stores.mongodb.client import Document, connect
from rollproof.stores.mongodb.descriptor import MongodbProfile
from rollproof.stores.mongodb.reader import MongodbReader
from rollproof.stores.reach import Reach, Readable

DATABASE, COLLECTION = "rollproof_benchmark", "documents"
BATCH = 10_000
PART = 20_000
RUNS = 5
DEADLINE = 120.0
Write = tuple[float, float]
"""Start of a write and its duration, both in seconds."""


def fill(client: MongoClient[Document], documents: int) -> float:
    """Insert the documents; return a document's average size in bytes."""
    if DATABASE in client.list_database_names():
        raise typer.BadParameter(f"database {DATABASE} is there already: drop it first")
    random = Random(1)  # noqa: S311 - the same documents each time
    for start in range(0, documents, BATCH):
        client[DATABASE][COLLECTION].insert_many(
            {
                "user": f"user {number}",
                "email": f"{number}@example.org",
                "number": number,
                "score": random.random(),
                "text": "z" * 60,
                "tags": ["a", "b"],
                "nested": {"key": number},
            }
            for number in range(start, min(start + BATCH, documents))
        )
    return float(client[DATABASE].command("collStats", COLLECTION)["avgObjSize"])


def _write(reach: Reach, stop: Event, writes: Queue[list[Write]]) -> None:
    """Write small documents one by one until `stop` is set."""
    found: list[Write] = []
    with connect(reach, "admin") as client:
        collection = client[DATABASE]["writes"]
        while not stop.is_set():
            began = time.monotonic()
            collection.replace_one({"_id": len(found) % 100}, {"at": began}, upsert=True)
            found.append((began, time.monotonic() - began))
            time.sleep(0.002)
    writes.put(found)


@contextmanager
def writer(reach: Reach, found: list[Write]) -> Iterator[None]:
    """Let another process write during the block; `found` holds its writes afterwards."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    writes = cast("Queue[list[Write]]", context.Queue())
    process = context.Process(target=_write, args=(reach, stop, writes))
    process.start()
    try:
        time.sleep(3)  # let it start, and write a while undisturbed
        yield
    finally:
        stop.set()
        found += writes.get(timeout=DEADLINE)
        process.join(DEADLINE)


def longest(writes: list[Write], windows: list[Write]) -> Measure:
    """Return the longest of the writes that were under way in any of `windows`."""
    inside = [
        took
        for began, took in writes
        if any(began < start + lasted and began + took > start for start, lasted in windows)
    ]
    return Measure(f"longest of {len(inside)} writes", (max(inside, default=0.0),))


def compare(endpoint: Endpoint, account: Account, documents: int, connections: int) -> None:
    """Measure on a running server, and print the measures."""
    profile = MongodbProfile(
        kind="mongodb",
        address=Address(host=endpoint.host, port=endpoint.port),
        services=("mongodb",),
        risk="low",
        databases=(DATABASE,),
        deadline_seconds=DEADLINE,
        reader=account,
        operator=account,
    )
    reach = Reach("mongodb", endpoint, account, DEADLINE)
    with connect(reach, "admin") as client, MongodbReader(Readable("mongodb", profile, endpoint)) as content:
        size = fill(client, documents)
        try:
            typer.echo(
                f"{documents} documents of {size:.0f} bytes, MongoDB {client.server_info()['version']}"
            )
            _compare(client, content, reach, connections)
        finally:
            client.drop_database(DATABASE)


def _compare(client: MongoClient[Document], content: MongodbReader, reach: Reach, connections: int) -> None:
    name = f"{DATABASE}.{COLLECTION}"
    division = content.divide(name, PART)
    seen = set()

    def ours() -> None:
        parts = content.digest(name, division, range(len(division)), Pace(connections=connections))
        seen.add(sum((digest for _, digest in parts), Digest(0, 0)))

    def theirs() -> None:
        client[DATABASE].command("dbHash", collections=[COLLECTION])

    compared: dict[str, Callable[[], object]] = {
        "digest": ours,
        "dbHash": theirs,
        "division": lambda: content.divide(name, PART),
    }
    for run in compared.values():  # a first run each, so that caches are warm
        run()
    measures = side_by_side(compared, RUNS)
    for taken in measures:
        each = " ".join(f"{seconds:.2f}" for seconds in taken.seconds)
        typer.echo(f"{taken.name:<10}{taken.median:6.2f} s, median of {each}")
    typer.echo(f"digest / dbHash: {measures[0].median / measures[1].median:.2f}")
    if len(seen) != 1:
        raise typer.Exit(1)
    writes: list[Write] = []
    windows: dict[str, list[Write]] = {"nothing": [], "digest": [], "dbHash": []}
    peers: dict[str, Callable[[], object]] = {
        "nothing": lambda: time.sleep(1),
        "digest": ours,
        "dbHash": theirs,
    }
    with writer(reach, writes):
        for _ in range(RUNS):
            for what, run in peers.items():
                windows[what].append((time.monotonic(), measure(what, run, 1).seconds[0]))
                time.sleep(0.2)
    for what, during in windows.items():
        taken = longest(writes, during)
        typer.echo(f"peer {what}: {taken.name} {taken.median * 1000:.0f} ms")
