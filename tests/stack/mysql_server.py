"""A MySQL or MariaDB server for tests: an account with all rights on scratch databases, and root."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydantic import SecretStr
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.engine import ContainerEngine, Endpoint
from rollproof.profile.profile import Target
from rollproof.profile.sections import Account, Address
from rollproof.stores.mysql.connection import Flavour, Mysql, rows
from rollproof.stores.mysql.descriptor import MysqlProfile
from rollproof.stores.reach import Reach
from staging.stack.images import bake
from staging.stack.stack import Stack
from tests.stack.scratch_project import own_project
from tests.stack.scratch_stores import SECRET, changed

PREFIX = "rollproof-test"
OPERATOR = "scratch_operator"
DATABASES = ("scratch_first", "scratch_second")
SERVERS = ("stack", "mariadb")
"""What `running_server` can give."""
# What the dump's programs need besides the databases themselves differs between the two.
GRANTS: dict[Flavour, str] = {
    "mysql": "SUPER, SHOW_ROUTINE, SET_ANY_DEFINER, ALLOW_NONEXISTENT_DEFINER, SYSTEM_USER",
    "mariadb": "SUPER, SET USER",
}
COMPOSE_FILE = """
services:
  mysql:
    image: {image}
    healthcheck: {{test: [CMD, healthcheck], interval: 500ms, timeout: 30s, retries: 360}}
    secrets: [mysql_root, mysql_app, mysql_reader, mysql_operator]
    ports: ["127.0.0.1::3306"]
    volumes: ["data:/var/lib/mysql"]
    tmpfs: ["/run/mysqld:mode=0755"]
    stop_grace_period: 1s
    mem_limit: {memory}
volumes: {{data: {{}}}}
secrets:
  mysql_root: {{file: "{secrets}/mysql_root"}}
  mysql_app: {{file: "{secrets}/mysql_app"}}
  mysql_reader: {{file: "{secrets}/mysql_reader"}}
  mysql_operator: {{file: "{secrets}/mysql_operator"}}
"""


@dataclass(frozen=True, slots=True)
class MysqlServer:
    """A running server; its profile has the scratch databases and the scratch operator."""

    flavour: Flavour
    profile: MysqlProfile
    endpoint: Endpoint
    control: ComposeControl
    folder: Path

    def root(self, sql: str, database: str = "") -> str:
        """Run `sql` as root inside the container, and return what it printed."""
        script = self.folder / f"{uuid.uuid4().hex}.sql"
        script.write_text(sql, encoding="utf-8")
        client = "mysql" if self.flavour == "mysql" else "mariadb"
        command = (
            "MYSQL_PWD=$(cat /run/secrets/mysql_root) exec "
            f"{client} --no-defaults -uroot -S /run/mysqld/mysqld.sock --default-character-set=utf8mb4"
            f" --binary-mode=0 {database}"
        )
        return self.control.run("mysql", ["sh", "-c", command], deadline=60, stdin=script)

    def prepare(self) -> None:
        """Make the operator and empty scratch databases."""
        self.root(
            f"DROP USER IF EXISTS {OPERATOR}@'%'; CREATE USER {OPERATOR}@'%' IDENTIFIED BY '{SECRET}';"
            f" GRANT ALL ON `scratch\\_%`.* TO {OPERATOR}@'%';"
            f" GRANT {GRANTS[self.flavour]} ON *.* TO {OPERATOR}@'%';"
            + "".join(f" DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name};" for name in DATABASES)
        )

    def clean_up(self) -> None:
        """Remove what `prepare` made."""
        self.root(
            f"DROP USER IF EXISTS {OPERATOR}@'%';"
            + "".join(f" DROP DATABASE IF EXISTS {name};" for name in DATABASES)
        )


@contextmanager
def running_server(
    kind: str, stack: Stack, target: Target, engine: ContainerEngine, control: ComposeControl, folder: Path
) -> Iterator[MysqlServer]:
    """Give the stack's server, whichever of the two it is; or a MariaDB of the test's own."""
    if kind == "mariadb":
        with mariadb_server(stack, folder) as own:
            yield own
        return
    profile = changed(cast("MysqlProfile", target.stores["mysql"]))
    endpoint = engine.resolve(profile.address)
    with closing(Mysql(Reach("mysql", endpoint, profile.operator, 60)).connect()) as connection:
        flavour = connection.flavour
    with stack_server(profile, endpoint, control, flavour, folder) as scratch:
        yield scratch


@contextmanager
def prepared(running: MysqlServer) -> Iterator[Connection[Cursor]]:
    """Give a connection that may write, to scratch databases that are empty."""
    running.prepare()
    reach = Reach("mysql", running.endpoint, running.profile.operator, 60)
    with closing(Mysql(reach).connect()) as connection:
        connection.select_db("scratch_first")
        rows(connection, "SET SESSION time_zone = '+00:00', sql_mode = ''")
        yield connection


@contextmanager
def stack_server(
    profile: MysqlProfile, endpoint: Endpoint, control: ComposeControl, flavour: Flavour, folder: Path
) -> Iterator[MysqlServer]:
    """Give the stack's server with scratch databases, and take those away at the end."""
    account = Account(user=OPERATOR, password=SecretStr(SECRET))
    chosen = profile.model_copy(update={"databases": DATABASES, "reader": account, "operator": account})
    server = MysqlServer(flavour, chosen, endpoint, control, folder)
    server.prepare()
    try:
        yield server
    finally:
        server.clean_up()


@contextmanager
def mariadb_server(stack: Stack, folder: Path) -> Iterator[MysqlServer]:
    """Give a MariaDB of its own, built from the stack's recipe, and remove its container at the end."""
    bake(stack.root, stack.state.certificates, ["mariadb"], print, PREFIX)
    with own_server(stack, folder, "mariadb", f"{PREFIX}/mysql") as server:
        yield server


@contextmanager
def own_server(
    stack: Stack, folder: Path, flavour: Flavour, image: str, memory: str = "512m"
) -> Iterator[MysqlServer]:
    """Give a server of its own from an image, and remove its container at the end."""
    account = Account(user=OPERATOR, password=SecretStr(SECRET))
    profile = MysqlProfile(
        kind="mysql",
        address=Address(service="mysql", port=3306),
        services=("mysql",),
        risk="low",
        databases=DATABASES,
        reader=account,
        operator=account,
    )
    described = COMPOSE_FILE.format(image=image, secrets=stack.state.secrets, memory=memory)
    with own_project(described, folder) as (engine, control):
        server = MysqlServer(flavour, profile, engine.resolve(profile.address), control, folder)
        server.prepare()
        yield server
