"""MySQL, read side, against a real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import cast

import pymysql
import pytest
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from fixtures.engines.engine import ContainerEngine, Endpoint
from fixtures.errors import Unverifiable
from fixtures.stores.mysql import View, connect, rows
from fixtures.stores.profiles import MysqlProfile
from fixtures.stores.reach import Reach
from fixtures.target import Target
from tests.stack.scratch_stores import changed, expect_unverifiable, nowhere, silence, with_wrong_password

# The reader's and the operator's grants cover databases of this beginning.
DATABASE = "imagedb_scratch_view"


@pytest.fixture
def profile(target: Target) -> MysqlProfile:
    return changed(cast("MysqlProfile", target.stores["mysql"]), databases=(DATABASE,))


@pytest.fixture
def endpoint(profile: MysqlProfile, engine: ContainerEngine) -> Endpoint:
    return engine.resolve(profile.address)


@pytest.fixture
def scratch(profile: MysqlProfile, endpoint: Endpoint) -> Iterator[Connection[Cursor]]:
    with closing(connect(Reach("mysql", endpoint, profile.operator, 20))) as connection:
        rows(connection, f"DROP DATABASE IF EXISTS {DATABASE}")
        rows(connection, f"CREATE DATABASE {DATABASE}")
        connection.select_db(DATABASE)
        yield connection
        rows(connection, f"DROP DATABASE IF EXISTS {DATABASE}")


def test_every_row_is_counted(profile: MysqlProfile, endpoint: Endpoint, scratch: Connection[Cursor]) -> None:
    rows(scratch, "CREATE TABLE many (number int PRIMARY KEY)")
    rows(scratch, "CREATE TABLE `an odd``name; %s ü` (number int)")
    rows(scratch, "CREATE TABLE nothing (number int)")
    rows(scratch, "CREATE VIEW seen AS SELECT * FROM many")
    with closing(scratch.cursor()) as cursor:
        cursor.executemany("INSERT INTO many VALUES (%s)", [(number,) for number in range(5000)])
    rows(scratch, "INSERT INTO `an odd``name; %s ü` VALUES (1), (1), (NULL)")
    with View("mysql", profile, endpoint) as view:
        assert view.counts() == {
            f"{DATABASE}.an odd`name; %s ü": 3,
            f"{DATABASE}.many": 5000,
            f"{DATABASE}.nothing": 0,
        }
        rows(scratch, "DELETE FROM many WHERE number = 77")
        rows(scratch, "DELETE FROM `an odd``name; %s ü`")
        assert view.counts()[f"{DATABASE}.many"] == 4999
        answer = view.ask()
    assert (answer.collection, answer.records) == (f"{DATABASE}.many", 1000)
    assert answer.server.startswith("MySQL ") or "MariaDB" in answer.server


def test_a_table_that_is_locked_is_no_answer(
    profile: MysqlProfile, endpoint: Endpoint, scratch: Connection[Cursor]
) -> None:
    rows(scratch, "CREATE TABLE held (number int)")
    rows(scratch, "LOCK TABLES held WRITE")
    view = View("mysql", changed(profile, deadline_seconds=1.0), endpoint)
    expect_unverifiable(view, "within 1 s")
    rows(scratch, "UNLOCK TABLES")


def test_a_view_answers_again_after_a_failure(
    profile: MysqlProfile, endpoint: Endpoint, scratch: Connection[Cursor]
) -> None:
    rows(scratch, "CREATE TABLE held (number int)")
    rows(scratch, "LOCK TABLES held WRITE")
    release = threading.Timer(1.5, rows, (scratch, "UNLOCK TABLES"))
    with View("mysql", changed(profile, deadline_seconds=1.0), endpoint) as view:
        release.start()
        with pytest.raises(Unverifiable):
            view.counts()
        release.join()
        assert view.counts() == {f"{DATABASE}.held": 0}


def test_a_database_that_is_gone_is_no_answer(profile: MysqlProfile, endpoint: Endpoint) -> None:
    view = View("mysql", changed(profile, databases=("imagedb_gone",)), endpoint)
    expect_unverifiable(view, "expected database imagedb_gone, observed no database of that name")


def test_a_wrong_password_is_no_answer(profile: MysqlProfile, endpoint: Endpoint) -> None:
    expect_unverifiable(View("mysql", with_wrong_password(profile), endpoint), "Access denied")


def test_a_closed_port_is_no_answer(profile: MysqlProfile) -> None:
    closed = nowhere()
    expect_unverifiable(View("mysql", profile, closed), "refused", str(closed.port))


def test_silence_ends_at_the_deadline(profile: MysqlProfile) -> None:
    with silence() as endpoint:
        view = View("mysql", changed(with_wrong_password(profile), deadline_seconds=1.0), endpoint)
        expect_unverifiable(view, "within 1 s")


def test_the_reader_cannot_write(
    profile: MysqlProfile, endpoint: Endpoint, scratch: Connection[Cursor]
) -> None:
    rows(scratch, "CREATE TABLE many (number int)")
    with (
        closing(connect(Reach("mysql", endpoint, profile.reader, 10))) as connection,
        pytest.raises(pymysql.err.OperationalError, match="denied"),
    ):
        rows(connection, f"INSERT INTO {DATABASE}.many VALUES (1)")  # noqa: S608 - a constant
