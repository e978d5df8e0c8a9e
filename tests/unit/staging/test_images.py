"""The fallback from MySQL to MariaDB is said, and is no choice of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from rollproof.errors import Problem, UsageProblem
from staging.stack import images as module
from staging.stack.images import build_store_images


class Builder:
    """Takes the place of `docker buildx bake`: remembers what was built, and which server is mysql's."""

    def __init__(self) -> None:
        self.server = ""
        self.broken: set[str] = set()

    def bake(self, _root: Path, _certificates: Path, targets: Sequence[str], _report: object) -> None:
        """Build `targets`, unless one of them is broken."""
        if broken := self.broken & set(targets):
            raise Problem(what="build", expected="0", observed=f"{broken} broke", source="log", hint="no")
        self.server = "MariaDB" if "mariadb" in targets else "MySQL"


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> Builder:
    made = Builder()
    monkeypatch.setattr(module, "bake", made.bake)
    monkeypatch.setattr(module, "_server_of_mysql", lambda: made.server)
    monkeypatch.delenv("ROLLPROOF_MYSQL", raising=False)
    return made


def build() -> list[str]:
    said: list[str] = []
    build_store_images(Path(), Path(), said.append)
    return said


def test_mariadb_takes_the_place_of_a_mysql_that_cannot_be_built(builder: Builder) -> None:
    builder.broken = {"mysql"}
    said = build()
    assert builder.server == "MariaDB"
    assert any("MySQL could not be built" in line and "'mysql'} broke" in line for line in said)
    # It is said at every run, and MySQL is not tried over and over.
    assert build() == ["mysql: MariaDB answers to this name"]


def test_mysql_that_was_asked_for_is_not_replaced(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLPROOF_MYSQL", "mysql")
    builder.broken = {"mysql"}
    with pytest.raises(Problem, match="'mysql'} broke"):
        build()
    assert builder.server == ""


def test_mariadb_can_be_asked_for(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert build() == []
    assert builder.server == "MySQL"
    monkeypatch.setenv("ROLLPROOF_MYSQL", "mariadb")
    assert build() == ["mysql: MariaDB answers to this name"]
    monkeypatch.setenv("ROLLPROOF_MYSQL", "oracle")
    with pytest.raises(UsageProblem, match="expected mysql or mariadb, observed oracle"):
        build()


def test_another_image_that_cannot_be_built_is_an_error(builder: Builder) -> None:
    builder.broken = {"milvus"}
    with pytest.raises(Problem, match="milvus"):
        build()
