"""Digests by Dask's workers, of real servers: they are the reader's own, and what differs is named."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rollproof.baseline.comparison import CollectionComparison
from rollproof.baseline.demands import demands_of
from rollproof.baseline.folder import Baseline, BaselineDraft
from rollproof.baseline.recording import SamplePlan, record_collection, record_content, record_store
from rollproof.engines.engine import Endpoint, open_engine
from rollproof.observation.content import compare
from rollproof.profile.profile import Target, load_target
from rollproof.profile.sections import Account, Address, Policy, StoreProfile
from rollproof.scale.cluster import Cluster
from rollproof.stores.contract import Pace
from rollproof.stores.mysql.connection import Mysql, rows
from rollproof.stores.reach import Reach
from rollproof.stores.registry import reader_at
from rollproof.stores.snapshot import Snapshot
from staging.stack.stack import Stack
from tests.conftest import PROFILE, ROOT
from tests.dask_cluster import DaskCluster
from tests.running.cut import VARIANT
from tests.stack.mysql_server import MysqlServer, mariadb_server
from tests.stack.postgresql_server import PostgresqlServer, postgresql_server
from tests.stack.scratch_stores import SECRET
from tests.world.baseline import FACTS

SIZE, PARTS = 35_000, 4
FILL = {
    "mysql": (
        "CREATE TABLE scratch_first.t (id INT PRIMARY KEY, word VARCHAR(50) NOT NULL)",
        "INSERT INTO scratch_first.t SELECT seq, SHA1(seq) FROM seq_1_to_35000",
    ),
    "postgresql": (
        "CREATE TABLE t (id int PRIMARY KEY, word text NOT NULL)",
        "INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 35000) AS i",
    ),
}
NAMES = {"mysql": "scratch_first.t", "postgresql": "public.t"}
PASSWORD = "WORKERS_PASSWORD"  # noqa: S105 - the name of a variable


@dataclass(frozen=True)
class Place:
    kind: str
    profile: StoreProfile
    server: MysqlServer | PostgresqlServer

    def do(self, statements: Sequence[str]) -> None:
        if isinstance(self.server, PostgresqlServer):
            self.server.do(";\n".join(statements))
            return
        reach = Reach("mysql", self.server.endpoint, self.server.profile.operator, 60)
        with closing(Mysql(reach).connect()) as connection:
            connection.select_db("scratch_first")
            for statement in statements:
                rows(connection, statement)

    @property
    def workers_profile(self) -> str:
        profile: Any = self.profile
        assert isinstance(profile.reader, Account)
        return f"""
[stores.{self.kind}]
kind = "{self.kind}"
address = {{host = "{profile.address.host}", port = {profile.address.port}}}
services = {[*profile.services]}
risk = "{profile.risk}"
databases = {[*profile.databases]}
reader = {{user = "{profile.reader.user}", password = {{env = "{PASSWORD}"}}}}
operator = {{user = "nobody", password = {{env = "NOT_SET"}}}}
"""


@pytest.fixture(params=[pytest.param("mysql", marks=VARIANT), "postgresql"])
def place(request: pytest.FixtureRequest, stack: Stack, tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as opened:
        server: MysqlServer | PostgresqlServer
        if request.param == "mysql":
            server = opened.enter_context(mariadb_server(stack, tmp_path))
        else:
            server = opened.enter_context(postgresql_server(stack, tmp_path))
        address = Address(host=server.endpoint.host, port=server.endpoint.port)
        given = Place(request.param, server.profile.model_copy(update={"address": address}), server)
        given.do(FILL[request.param])
        yield given


def test_digests_by_workers_are_those_of_the_reader_and_what_differs_is_named(
    place: Place, tmp_path: Path
) -> None:
    assert place.profile.address is not None
    name, address = NAMES[place.kind], place.profile.address
    theirs = tmp_path / "workers.toml"
    theirs.write_text(place.workers_profile, encoding="utf-8")
    environment = {"ROLLPROOF_TARGET": str(theirs), PASSWORD: SECRET}
    target = cast("Target", SimpleNamespace(stores={place.kind: place.profile}))
    baseline = cast("Baseline", SimpleNamespace(id="b"))
    with ExitStack() as opened:
        dask = opened.enter_context(DaskCluster(tmp_path / "dask", environment))
        dask.add_workers(2)
        cluster = opened.enter_context(Cluster(target, dask.profile()))
        endpoint = Endpoint(str(address.host), address.port)
        reader = opened.enter_context(reader_at(place.kind, place.profile, endpoint))
        with Snapshot(tmp_path / "records.db", new=True) as snapshot:
            recorded = record_collection(reader, place.profile, name, snapshot, "records.db")
        assert len(recorded.division) == PARTS
        # As of a collection that is large enough for workers: a part a task.
        digests = cluster.digests_of(place.kind, name, replace(recorded, seconds=4.0), baseline)
        assert digests is not None

        def compared() -> CollectionComparison:
            plan = SamplePlan(tuple(range(PARTS)), inf)
            path = tmp_path / "records.db"
            return compare(reader, name, recorded, path, plan, Pace(), digests=digests)

        same = compared()
        assert not same.wrong(Policy.EXACT)
        assert f"all of {SIZE:,} records" in str(same.coverage)
        assert f"2 workers at {address.host}:{address.port}" in same.evidence
        assert digests.chunks == PARTS
        table = name.removeprefix("public.")
        place.do([f"UPDATE {table} SET word = 'other' WHERE id = 12345"])  # noqa: S608 - a constant
        place.do([f"DELETE FROM {table} WHERE id = 35000"])  # noqa: S608
        differing = compared()
        assert str(differing) == "1 missing, 0 added, 1 changed (missing 35000; changed 12345: word)"


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
@pytest.mark.long(minutes=0.5)
def test_phase_4_says_how_workers_have_read_and_is_broken_without_them(place: Place, tmp_path: Path) -> None:
    theirs = tmp_path / "workers.toml"
    theirs.write_text(place.workers_profile, encoding="utf-8")
    environment = {"ROLLPROOF_TARGET": str(theirs), PASSWORD: SECRET}
    with DaskCluster(tmp_path / "dask", environment) as dask:
        dask.add_workers(2)
        section = dask.profile().model_dump(mode="json")
        verification = "\n".join(f"{name} = {value!r}" for name, value in section.items())
        own = place.workers_profile.replace("NOT_SET", PASSWORD)
        profile = tmp_path / "profile.toml"
        (tmp_path / "canary_password").write_text("s3cret-of-the-canary", encoding="utf-8")
        text = f"{PROFILE.partition('[stores.redis]')[0]}{own}\n[verification]\n{verification}\n"
        profile.write_text(text, encoding="utf-8")
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv(PASSWORD, SECRET)
            capture(load_target(profile), place.kind)
        done = phase4(profile)
        assert done.returncode == 0, done.stdout
        (verdict,) = tmp_path.glob("incidents/*/verdict.json")
        said = verdict.read_text(encoding="utf-8")
        assert "digests by 2 workers at 127.0.0.1:" in said
        assert "they are one state if nothing wrote meanwhile" in said
        done = run("rollproof", "compare", "current", f"--target={profile}")
        assert done.returncode == 0, done.stderr
        assert (
            "public.t: exact, all of 35,000 records, differing: nothing; digests by 2 workers" in done.stdout
        )
    done = phase4(profile)
    assert done.returncode == 3, done.stdout
    assert "scheduler of verification: expected an answer within 10 s" in done.stdout


def capture(target: Target, store: str) -> None:
    """Record a baseline of the store's content, as of a collection that is large enough for workers."""
    engine = open_engine(target.engine)
    with BaselineDraft(target.folders.baselines, target.name) as draft:
        recorded = record_store(target, engine, store)
        content = record_content(target, engine, store, recorded.counts, draft.folder)
        large = {name: replace(one, seconds=4.0) for name, one in content.collections.items()}
        draft.finish(
            replace(
                FACTS,
                stores={store: recorded},
                contents={store: replace(content, collections=large)},
                demands=demands_of(target),
            )
        )


def phase4(profile: Path) -> subprocess.CompletedProcess[str]:
    """Run the checks of content alone."""
    options = ("-m", "phase4", "--no-gate", "-k", "test_collection_content", f"--target={profile}")
    return run("pytest", "-p", "no:cacheprovider", *options)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a module's command, with the readers' password."""
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env={**os.environ, PASSWORD: SECRET},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
