"""The servers of the staging stack as benchmarks use them: accounts that may make databases of their own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from benchmarks.mysql import Server
from fixtures.engines.engine import ContainerEngine
from fixtures.stores.profiles import MysqlProfile
from fixtures.target import Target
from rollback_actions.containers import ContainerControl
from tests.stack.mysql_server import MysqlServer

_USER = "benchmark"


@contextmanager
def mysql_server(
    target: Target, engine: ContainerEngine, control: ContainerControl, folder: Path
) -> Iterator[Server]:
    """Give the stack's MySQL with an account that may do everything, and take the account away at the end."""
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
