"""The staging stack's servers for benchmarks, with accounts that may create databases."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from benchmarks.mysql import Server
from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.engine import ContainerEngine
from rollproof.profile.profile import Target
from rollproof.stores.mysql.descriptor import MysqlProfile
from tests.stack.mysql_server import MysqlServer

_USER = "benchmark"


@contextmanager
def mysql_server(
    target: Target, engine: ContainerEngine, control: ComposeControl, folder: Path
) -> Iterator[Server]:
    """Yield the stack's MySQL with an account that may do everything; drop the account at the end."""
    profile = target.stores["mysql"]
    if not isinstance(profile, MysqlProfile):
        raise TypeError(f"store mysql is of kind {profile.kind}")
    endpoint = engine.resolve(profile.address)
    password = secrets.token_urlsafe(24)
    root = MysqlServer("mysql", profile, endpoint, control, folder)
    root.root(
        f"DROP USER IF EXISTS {_USER}@'%'; CREATE USER {_USER}@'%' IDENTIFIED BY '{password}';"
        f" GRANT ALL ON *.* TO {_USER}@'%';"
    )
    try:
        yield Server(endpoint.host, endpoint.port, SecretStr(password), _USER)
    finally:
        root.root(f"DROP USER IF EXISTS {_USER}@'%';")
