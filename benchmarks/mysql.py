"""Readers of MySQL and MariaDB side by side: time, memory as tables grow, and the corruptions each notices.

The server is a scratch one: the benchmark has a database of its own there, which it drops at the end.
No command line holds a password or a key.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from benchmarks.measure import Growth, Measure, Row, compared, measure, measured, peak_mebibytes, read_apart
from benchmarks.mysql_tables import CORRUPTIONS, DATABASE, SAVED, make_database, make_table
from benchmarks.reladiff import PEER_SECONDS, Reladiff, run
from rollproof.engines.engine import Endpoint
from rollproof.errors import Problem
from rollproof.profile.sections import Account, Address
from rollproof.stores.contract import Digest, Pace
from rollproof.stores.mysql.connection import Mysql, rows
from rollproof.stores.mysql.descriptor import MysqlProfile
from rollproof.stores.mysql.reader import MysqlReader
from rollproof.stores.reach import Reach, Readable
from staging.engine import install

PART = 100_000
SMALL = 2_000
PASSWORD = "ROLLPROOF_BENCH_PASSWORD"  # noqa: S105 - the name of a variable


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, with an account that may do everything on it."""

    host: str
    port: int
    password: SecretStr
    user: str = "root"

    @property
    def endpoint(self) -> Endpoint:
        """The server's address."""
        return Endpoint(self.host, self.port)

    @property
    def profile(self) -> MysqlProfile:
        """A store profile for this server, with the benchmark's database."""
        account = Account(user=self.user, password=self.password)
        return MysqlProfile(
            kind="mysql",
            address=Address(host=self.host, port=self.port),
            services=("mysql",),
            risk="low",
            databases=(DATABASE,),
            deadline_seconds=60,
            reader=account,
            operator=account,
        )


@dataclass(frozen=True, slots=True)
class Noticed:
    """A planted corruption, and whether each reader noticed it; None if the reader was not run."""

    corruption: str
    by: Mapping[str, bool | None]


def compare(server: Server, size: int = 2_000_000, times: int = 5) -> list[Row]:
    """Return each reader's times for a table of `size` rows, and for two such tables."""
    with _database(server) as connection, tempfile.TemporaryDirectory() as folder:
        make_table(connection, "t", size)
        make_table(connection, "u", size)
        peers = Peers(server, Path(folder))
        ours = measure("ours, digest on 2 connections", lambda: _digest(server, "t", 2), times)
        measures: list[Measure | Row] = [
            ours,
            measure("ours, division and digest", lambda: _digest(server, "t", 2, divide=True), times),
            measure("ours, 1 connection", lambda: _digest(server, "t", 1), times),
            measure("COUNT(*)", lambda: rows(connection, "SELECT COUNT(*) FROM t"), times),
            measure("CHECKSUM TABLE", lambda: rows(connection, "CHECKSUM TABLE t"), times),
            measured("pt-table-checksum", peers.without_percona(), lambda: peers.percona("t"), times),
        ]
        both = measure("ours, two tables", lambda: [_digest(server, name, 2) for name in "tu"], times)
        two = [both, peers.reladiff.measured(times)]
        return compared(measures, ours) + compared(two, both)


def grow(server: Server, sizes: Sequence[int] = (200_000, 2_000_000), times: int = 3) -> list[Growth]:
    """Return time and peak memory for each table size, each table read by a separate process."""
    found = []
    environment = {**os.environ, PASSWORD: server.password.get_secret_value()}
    command = [sys.executable, "-m", "benchmarks.mysql", server.host, str(server.port), server.user]
    with _database(server) as connection:
        for size in sizes:
            make_table(connection, "t", size)
            found.append(read_apart(size, command, environment, times, PEER_SECONDS))
    return found


def detect(server: Server) -> list[Noticed]:
    """Plant each corruption in turn; return the readers that noticed it."""
    found = []
    with _database(server) as connection, tempfile.TemporaryDirectory() as folder:
        peers = Peers(server, Path(folder))
        readers: dict[str, Callable[[], object] | None] = {
            "ours": lambda: _everything(server),
            "COUNT(*)": lambda: rows(connection, "SELECT COUNT(*) FROM t"),
            "CHECKSUM TABLE": lambda: rows(connection, "CHECKSUM TABLE t"),
            "pt-table-checksum": None
            if peers.without_percona()
            else lambda: peers.percona("t") and peers.checksums(connection),
        }
        no_reladiff = peers.reladiff.refused()
        for name, statements in CORRUPTIONS.items():
            make_table(connection, "t", SMALL)
            at = statements.index(SAVED) if SAVED in statements else 0
            for statement in statements[:at]:
                rows(connection, statement)
            rows(connection, "DROP TABLE IF EXISTS u")
            rows(connection, "CREATE TABLE u LIKE t")
            rows(connection, "INSERT INTO u SELECT * FROM t")
            before = {reader: read() for reader, read in readers.items() if read}
            for statement in statements[at:]:
                if statement != SAVED:
                    rows(connection, statement)
            by: dict[str, bool | None] = {
                reader: (read() != before[reader] if read else None) for reader, read in readers.items()
            }
            by["reladiff"] = None if no_reladiff else peers.reladiff.differences() != ""
            found.append(Noticed(name, by))
    return found


class Peers:
    """Other readers: Debian's Percona Toolkit, and reladiff."""

    def __init__(self, server: Server, folder: Path) -> None:
        """Write the peers' settings into `folder`, readable by this account only."""
        self._server = server
        password = server.password.get_secret_value()
        self.reladiff = Reladiff(folder, "mysql", server.endpoint, server.profile.operator, DATABASE)
        self._options = folder / "options.cnf"
        self._options.touch(mode=0o600)
        self._options.write_text(
            f'[client]\nhost={server.host}\nport={server.port}\nuser={server.user}\npassword="{password}"\n'
        )

    def without_percona(self) -> str:
        """Install pt-table-checksum if it is missing; return the reason it cannot be run, or ""."""
        if shutil.which("pt-table-checksum") is None:
            try:
                install("percona-toolkit", report=print)
            except Problem as problem:
                return f"not installed: {problem.hint}"
        return ""

    def percona(self, table: str) -> str:
        """Run pt-table-checksum over one table; it writes its checksums into the table `checksums`."""
        return run(
            [
                "pt-table-checksum", "--no-check-binlog-format", "--recursion-method=none",
                "--no-version-check", "--no-check-replication-filters", "--no-check-plan",
                f"--replicate={DATABASE}.checksums", "--create-replicate-table",
                f"--tables={DATABASE}.{table}",
                f"F={self._options},h={self._server.host},P={self._server.port}",
            ]
        )  # fmt: skip

    @staticmethod
    def checksums(connection: Connection[Cursor]) -> object:
        """Return pt-table-checksum's last checksums, and delete them."""
        found = rows(
            connection, "SELECT chunk, this_crc, this_cnt FROM checksums WHERE tbl = 't' ORDER BY chunk"
        )
        rows(connection, "DELETE FROM checksums")
        return found


@contextmanager
def _database(server: Server) -> Iterator[Connection[Cursor]]:
    reach = Reach("benchmark", server.endpoint, server.profile.operator, PEER_SECONDS)
    with closing(Mysql(reach).connect()) as connection:
        make_database(connection)
        yield connection


def _digest(server: Server, table: str, connections: int, *, divide: bool = False) -> Digest:
    name = f"{DATABASE}.{table}"
    with MysqlReader(Readable("benchmark", server.profile, server.endpoint)) as content:
        key = (server.port, name)
        if divide or key not in _DIVISIONS:
            _DIVISIONS[key] = content.divide(name, PART)
        division = _DIVISIONS[key]
        parts = content.digest(name, division, range(len(division)), Pace(connections=connections))
        return sum((digest for _, digest in parts), Digest(0, 0))


# Kept between reads, as a baseline keeps a division.
_DIVISIONS: dict[tuple[int, str], tuple[str, ...]] = {}


def _everything(server: Server) -> object:
    with MysqlReader(Readable("benchmark", server.profile, server.endpoint)) as content:
        schemas = {name: schema for name, schema in content.schemas().items() if "checksums" not in name}
        digests = list(content.digest(f"{DATABASE}.t", ("",), [0], Pace()))
        return schemas, digests


def _main(host: str, port: str, user: str) -> None:
    """Digest the table once; print the seconds and this process's peak memory in MiB."""
    server = Server(host, int(port), SecretStr(os.environ[PASSWORD]), user)
    once = measure("", lambda: _digest(server, "t", 2, divide=True), 1)
    sys.stdout.write(f"{once.median} {peak_mebibytes()}\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
