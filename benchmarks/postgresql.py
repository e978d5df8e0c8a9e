"""Readers of PostgreSQL side by side: time, and memory as tables grow. The server is the benchmark's own."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import SecretStr

from benchmarks.measure import Growth, Measure, Row, compared, measure, peak_mebibytes, read_apart
from benchmarks.reladiff import PEER_SECONDS, Reladiff
from rollproof.engines.engine import Endpoint
from rollproof.profile.sections import Account, Address
from rollproof.stores.contract import Digest, Pace
from rollproof.stores.postgresql.client import rows
from rollproof.stores.postgresql.descriptor import PostgresqlProfile
from rollproof.stores.postgresql.reader import PostgresqlReader
from rollproof.stores.reach import Readable
from tests.stack.postgresql_server import DATABASE, PostgresqlServer

PART = 100_000
PASSWORD = "ROLLPROOF_BENCH_PASSWORD"  # noqa: S105 - the name of a variable
TABLE = """
DROP TABLE IF EXISTS {name};
CREATE TABLE {name} (
  id bigint, owner int NOT NULL, name text NOT NULL, status text NOT NULL, size numeric(12,2) NOT NULL,
  score float8, ratio real, created timestamptz NOT NULL, changed timestamp, note text, more text, sum text
);
INSERT INTO {name}
SELECT i, i % 1000, 'document-' || i || '.pdf', (ARRAY['new', 'done', 'failed'])[1 + i % 3], i * 1.37,
  CASE WHEN i % 11 > 0 THEN i / 7.0 END, i / 3.0, '2024-01-01'::timestamptz + i * interval '1000003 us',
  '2024-01-01'::timestamp + i * interval '1 s', CASE WHEN i % 7 > 0 THEN md5('1/' || i) || md5('2/' || i) END,
  CASE WHEN i % 5 > 0 THEN 'more ' || i END, md5('1-' || i) || md5('2-' || i)
FROM generate_series(1, {size}) AS i;
ALTER TABLE {name} ADD PRIMARY KEY (id);
CREATE INDEX ON {name} (owner);
VACUUM ANALYZE {name}
"""


def compare(server: PostgresqlServer, folder: Path, size: int, times: int = 5) -> list[Row]:
    """Return each reader's times for a table of `size` rows, and for two such tables."""
    for name in "tu":
        server.do(TABLE.format(name=name, size=size), seconds=PEER_SECONDS)
    account = server.profile.operator
    peer = Reladiff(folder, "postgresql", server.endpoint, account, DATABASE)
    with server.connect(seconds=PEER_SECONDS) as session:

        def scan() -> None:
            rows(session, "SELECT count(*), sum(hashtext(t::text)) FROM public.t AS t")

        bare = measure("a bare scan: count(*), sum(hashtext(t::text))", scan, times)
    ours = measure("ours, digest on 2 connections", lambda: _digest(server.endpoint, account, "t", 2), times)
    measures: list[Measure | Row] = [
        ours,
        measure("ours, 1 connection", lambda: _digest(server.endpoint, account, "t", 1), times),
        measure("ours, division and digest", lambda: _divided(server.endpoint, account), times),
        bare,
        measure("pg_dump | sha256sum", lambda: _dump(server), times),
    ]
    both = measure(
        "ours, two tables", lambda: [_digest(server.endpoint, account, name, 2) for name in "tu"], times
    )
    return compared(measures, ours) + compared([both, peer.measured(times)], both)


def grow(server: PostgresqlServer, sizes: Sequence[int], times: int = 3) -> list[Growth]:
    """Return time and peak memory for each table size, each table read by a separate process."""
    account, endpoint = server.profile.operator, server.endpoint
    environment = {**os.environ, PASSWORD: account.password.get_secret_value()}
    command = [sys.executable, "-m", "benchmarks.postgresql", endpoint.host, str(endpoint.port), account.user]
    server.do("DROP TABLE IF EXISTS u")
    found = []
    for size in sizes:
        server.do(TABLE.format(name="t", size=size), seconds=PEER_SECONDS)
        found.append(read_apart(size, command, environment, times, PEER_SECONDS))
    return found


def _divided(endpoint: Endpoint, account: Account) -> Digest:
    _DIVISIONS.clear()
    return _digest(endpoint, account, "t", 2)


def _digest(endpoint: Endpoint, account: Account, table: str, connections: int) -> Digest:
    name = f"public.{table}"
    profile = PostgresqlProfile(
        kind="postgresql",
        address=Address(host=endpoint.host, port=endpoint.port),
        services=("postgresql",),
        risk="low",
        databases=(DATABASE,),
        deadline_seconds=PEER_SECONDS,
        reader=account,
        operator=account,
    )
    with PostgresqlReader(Readable("benchmark", profile, endpoint)) as content:
        if name not in _DIVISIONS:
            _DIVISIONS[name] = content.divide(name, PART)
        division = _DIVISIONS[name]
        parts = content.digest(name, division, range(len(division)), Pace(connections=connections))
        return sum((digest for _, digest in parts), Digest(0, 0))


# Kept between reads, as a baseline keeps a division.
_DIVISIONS: dict[str, tuple[str, ...]] = {}


def _dump(server: PostgresqlServer) -> None:
    script = f"pg_dump --username=operator --table=public.t {DATABASE} | sha256sum"
    server.control.run("postgresql", ["sh", "-c", script], deadline=PEER_SECONDS)


def _main(host: str, port: str, user: str) -> None:
    """Divide and digest the table once; print the seconds and this process's peak memory in MiB."""
    account = Account(user=user, password=SecretStr(os.environ[PASSWORD]))
    once = measure("", lambda: _digest(Endpoint(host, int(port)), account, "t", 2), 1)
    sys.stdout.write(f"{once.median} {peak_mebibytes()}\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
