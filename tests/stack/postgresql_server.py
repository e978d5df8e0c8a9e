"""A PostgreSQL server for tests, in a container of its own: its superuser, a reader, a scratch database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.engine import Endpoint
from rollproof.profile.sections import Account, Address
from rollproof.stores.postgresql.client import MAINTENANCE, Postgresql, PostgresqlSession
from rollproof.stores.postgresql.descriptor import DESCRIPTOR, PostgresqlProfile
from rollproof.stores.reach import Reach
from staging.stack.images import bake
from staging.stack.stack import Stack
from tests.stack.scratch_project import own_project
from tests.stack.scratch_stores import SECRET

PREFIX = "rollproof-test"
DATABASE = "scratch"
COMPOSE_FILE = """
services:
  postgresql:
    image: {image}
    command: [-c, max_prepared_transactions=5, -c, wal_level=logical, -c, fsync=off]
    healthcheck: {{test: [CMD, healthcheck], interval: 500ms, timeout: 30s, retries: 360}}
    secrets: [postgresql_operator]
    ports: ["127.0.0.1::5432"]
    volumes: ["data:/var/lib/postgresql/data"]
    stop_grace_period: 1s
    mem_limit: 512m
volumes: {{data: {{}}}}
secrets:
  postgresql_operator: {{file: "{secret}"}}
"""


@dataclass(frozen=True, slots=True)
class PostgresqlServer:
    """A running server; its profile has the scratch database."""

    profile: PostgresqlProfile
    endpoint: Endpoint
    control: ComposeControl

    def connect(
        self, database: str = DATABASE, account: Account | None = None, seconds: float = 60
    ) -> PostgresqlSession:
        """Connect, as the operator by default; each statement may take `seconds`."""
        reach = Reach("postgresql", self.endpoint, account or self.profile.operator, seconds)
        return Postgresql(reach, database).connect()

    def do(
        self, statements: str, database: str = DATABASE, *, reader: bool = False, seconds: float = 60
    ) -> None:
        """Run statements as the operator, or the reader; each in a transaction of its own."""
        with self.connect(database, self.profile.reader if reader else None, seconds) as session:
            session.execute("SET search_path = public")
            for statement in statements.split(";\n"):
                if statement.strip():
                    session.execute(statement.encode())

    def prepare(self) -> None:
        """Make an empty scratch database, whatever is there, and the reader as `init` states it."""
        reader = self.profile.reader.user
        account = (
            f"DO $$ BEGIN CREATE ROLE {reader}; EXCEPTION WHEN duplicate_object THEN NULL; END $$;\n"
            f"ALTER ROLE {reader} LOGIN PASSWORD '{SECRET}';\n"
        )
        grants = "\n".join(line for line in DESCRIPTOR.grants(self.profile).reader if line[:2] != "--")
        self.do(f"{account}{grants}", MAINTENANCE)
        self.do(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE);\nCREATE DATABASE {DATABASE}", MAINTENANCE)


@contextmanager
def postgresql_server(stack: Stack, folder: Path) -> Iterator[PostgresqlServer]:
    """Give a server of its own, built from Debian's packages, and remove its container at the end."""
    bake(stack.root, stack.state.certificates, ["postgresql"], print, PREFIX)
    secret = folder / "operator"
    secret.write_text(SECRET, encoding="utf-8")
    profile = PostgresqlProfile(
        kind="postgresql",
        address=Address(service="postgresql", port=5432),
        services=("postgresql",),
        risk="low",
        databases=(DATABASE,),
        reader=Account(user="reader", password=SecretStr(SECRET)),
        operator=Account(user="operator", password=SecretStr(SECRET)),
    )
    described = COMPOSE_FILE.format(image=f"{PREFIX}/postgresql", secret=secret)
    with own_project(described, folder) as (engine, control):
        server = PostgresqlServer(profile, engine.resolve(profile.address), control)
        server.prepare()
        yield server
