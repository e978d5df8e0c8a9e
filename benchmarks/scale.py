"""A comparison on 1, 2 and 4 of Dask's workers, with TLS, on 127.0.0.2 to 127.0.0.5; one killed, one cut off.

The servers are the benchmark's own. All run on one machine: its cores are shared by servers and workers, so
what grows with the workers is bounded by them, and what coordination costs is measured for itself.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from benchmarks.mysql_tables import make_table
from benchmarks.postgresql import TABLE
from rollproof.baseline.facts import RecordedCollection
from rollproof.baseline.folder import Baseline
from rollproof.engines.engine import Endpoint
from rollproof.profile.profile import Target
from rollproof.profile.sections import Account, Address, StoreProfile
from rollproof.scale.cluster import CHUNK_SECONDS, Cluster
from rollproof.stores.contract import Digest, Pace
from rollproof.stores.mysql.connection import Mysql, rows
from rollproof.stores.reach import Reach
from rollproof.stores.reader import Reader
from rollproof.stores.registry import reader_at
from rollproof.stores.snapshot import PART
from staging.stack.images import PREFIX, bake
from staging.stack.stack import Stack
from tests.dask_cluster import DaskCluster
from tests.stack.mysql_server import DATABASES, MysqlServer, own_server
from tests.stack.postgresql_server import PostgresqlServer, postgresql_server
from tests.stack.scratch_stores import SECRET

ROWS, VECTORS, DIMENSIONS = 500_000, 12_500, 384
"""The short form; 40 times that is the claim's."""
WORKERS = (1, 2, 4)
FILL_SECONDS = 3600.0
PASSWORD = "BENCH_PASSWORD"  # noqa: S105 - the name of a variable
_VECTORS = """
DROP TABLE IF EXISTS v;
CREATE TABLE v (id bigint PRIMARY KEY, embedding vector({dimensions}) NOT NULL);
INSERT INTO v SELECT i,
  (SELECT array_agg(random()) FROM generate_series(1, {dimensions}) WHERE i > 0)::vector
FROM generate_series(1, {size}) AS i;
VACUUM ANALYZE v
"""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to read a collection: its seconds, and what of them was not reading.

    `idle` is the share of the workers' time in which they read nothing; `coordinating` the seconds of CPU of
    scheduler and controller for each second.
    """

    name: str
    seconds: float
    idle: float = 0.0
    coordinating: float = 0.0
    tasks: int = 0


@dataclass(frozen=True, slots=True)
class Large:
    """A large collection: its store's profile at a server, and the reader's own digests of it."""

    store: str
    name: str
    profile: StoreProfile
    recorded: RecordedCollection
    digests: dict[int, Digest]


def compare_mysql(stack: Stack, size: int, say: Callable[[str], None]) -> list[Way]:
    """Return the ways to read `size` rows of MySQL."""
    image = f"{PREFIX}/mysql"
    bake(stack.root, stack.state.certificates, ["mysql"], print)
    with (
        tempfile.TemporaryDirectory() as folder,
        # Filling a large table takes more than tests have.
        own_server(stack, Path(folder), "mysql", image, memory="2g") as server,
    ):
        reach = Reach("mysql", server.endpoint, server.profile.operator, FILL_SECONDS)
        with closing(Mysql(reach).connect()) as connection:
            connection.select_db(DATABASES[0])
            rows(connection, "SET SESSION cte_max_recursion_depth = 1000000, sql_mode = ''")
            make_table(connection, "t", size)
        say("filled")
        return _ways("mysql", f"{DATABASES[0]}.t", _at(server), Path(folder), say)


def compare_postgresql(stack: Stack, size: int, vectors: int, say: Callable[[str], None]) -> list[list[Way]]:
    """Return the ways to read `size` rows of PostgreSQL, and `vectors` vectors."""
    with tempfile.TemporaryDirectory() as folder, postgresql_server(stack, Path(folder)) as server:
        server.do(TABLE.format(name="t", size=size), seconds=FILL_SECONDS)
        say("rows filled")
        ways = [_ways("postgresql", "public.t", _at(server), Path(folder), say)]
        server.do("DROP TABLE t;\nCREATE EXTENSION vector", seconds=FILL_SECONDS)
        server.do(_VECTORS.format(size=vectors, dimensions=DIMENSIONS), seconds=FILL_SECONDS)
        say("vectors filled")
        return [*ways, _ways("postgresql", "public.v", _at(server), Path(folder), say)]


def _at(server: MysqlServer | PostgresqlServer) -> StoreProfile:
    """Return the server's profile with its address of now."""
    place = server.endpoint
    address = Address(host=place.host, port=place.port)
    return server.profile.model_copy(update={"address": address, "deadline_seconds": 120.0})


def _ways(
    store: str, name: str, profile: StoreProfile, folder: Path, say: Callable[[str], None]
) -> list[Way]:
    large, here = _recorded(store, name, profile)
    say(f"read here: {here.seconds:.1f} s")
    found = [here]
    toml = folder / "workers.toml"
    toml.write_text(_toml(store, profile), encoding="utf-8")
    environment = {"ROLLPROOF_TARGET": str(toml), PASSWORD: SECRET}
    with DaskCluster(Path(tempfile.mkdtemp(dir=folder)), environment, "rollproof.scale.chunk") as dask:
        for workers in WORKERS:
            dask.add_workers(workers - len(dask.workers))
            found.append(_by_workers(large, dask, f"{workers} workers"))
            say(f"{found[-1]}")
        quarter = found[-1].seconds / 4

        def disturb() -> None:
            time.sleep(quarter)
            dask.workers[-1].kill()
            time.sleep(quarter)
            dask.workers[-2].send_signal(signal.SIGSTOP)

        threading.Thread(target=disturb).start()
        found.append(_by_workers(large, dask, "4 workers, one killed, one silent from then on"))
        say(f"{found[-1]}")
    return found


def _recorded(store: str, name: str, profile: StoreProfile) -> tuple[Large, Way]:
    with _reader(store, profile) as reader:
        division = reader.divide(name, PART)
        every, pace = range(len(division)), Pace(connections=profile.load.connections)
        started = time.monotonic()
        digests = dict(reader.digest(name, division, every, pace))
        seconds = time.monotonic() - started
    # In the short form a collection may be so small that no worker would be asked.
    expected = max(seconds, CHUNK_SECONDS)
    recorded = RecordedCollection(division, tuple(digests[part] for part in every), "-", (), expected)
    here = Way(f"here, on {profile.load.connections} connections", seconds)
    return Large(store, name, profile, recorded, digests), here


def _reader(store: str, profile: StoreProfile) -> Reader:
    assert profile.address is not None
    assert profile.address.host is not None
    return reader_at(store, profile, Endpoint(profile.address.host, profile.address.port))


def _toml(store: str, profile: StoreProfile) -> str:
    assert profile.address is not None
    assert isinstance(profile.reader, Account)
    databases = ", ".join(f'"{name}"' for name in cast("Any", profile).databases)
    return f"""
[stores.{store}]
kind = "{profile.kind}"
address = {{host = "{profile.address.host}", port = {profile.address.port}}}
services = ["{profile.services[0]}"]
risk = "{profile.risk}"
databases = [{databases}]
deadline_seconds = {profile.deadline_seconds}
reader = {{user = "{profile.reader.user}", password = {{env = "{PASSWORD}"}}}}
operator = {{user = "nobody", password = {{env = "NOT_SET"}}}}
"""


def _by_workers(large: Large, dask: DaskCluster, name: str) -> Way:
    target = cast("Target", SimpleNamespace(stores={large.store: large.profile}))
    baseline = cast("Baseline", SimpleNamespace(id="benchmark"))
    living = sum(worker.poll() is None for worker in dask.workers)
    with Cluster(target, dask.profile()) as cluster:

        def digest(parts: Sequence[int]) -> tuple[dict[int, Digest], float, int]:
            digests = cluster.digests_of(large.store, large.name, large.recorded, baseline)
            assert digests is not None
            return dict(digests.digest(parts)), digests.worked, digests.chunks

        # Before its first task a worker imports the driver, and reads its profile.
        digest(range(min(len(large.digests), 4 * living)))
        used = _cpu(dask.scheduler.pid) + time.process_time()
        started = time.monotonic()
        found, worked, tasks = digest(range(len(large.digests)))
        seconds = time.monotonic() - started
        used = _cpu(dask.scheduler.pid) + time.process_time() - used
    assert found == large.digests
    return Way(name, seconds, 1 - worked / (living * seconds), used / seconds, tasks)


def _cpu(process: int) -> float:
    """Return the seconds of CPU that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
