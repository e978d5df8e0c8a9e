"""PostgreSQL's keeper alone: what it refuses before anything is dropped, slots, connected clients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from rollproof.errors import ActionFailed, Unverifiable
from rollproof.stores.keeper import Operated
from rollproof.stores.postgresql.client import MAINTENANCE
from rollproof.stores.postgresql.keeper import PostgresqlClients
from tests.conftest import ROOT
from tests.stack.postgresql_content import TABLE
from tests.stack.stores.keeping.records import exported, put_back, wanted_of
from tests.stack.stores.place import Backup
from tests.stack.stores.postgresql import Postgresql

pytestmark = pytest.mark.of("postgresql")
APPLICATIONS = ROOT / "tests/stack/applications"


@contextmanager
def _refused(subject: Postgresql, kept: Backup, words: str) -> Iterator[None]:
    """See that a restore is refused for a reason that is made inside, and that nothing is changed by it."""
    yield
    before = subject.observe()
    with pytest.raises((ActionFailed, Unverifiable), match=words):
        kept.keeper.restore(kept.folder)
    assert subject.observe() == before


def test_a_prepared_transaction_is_not_lost(subject: Postgresql, kept: Backup) -> None:
    with (
        _refused(subject, kept, "is being used by prepared transactions"),
        subject.running.connect() as session,
    ):
        session.execute("BEGIN; DELETE FROM public.child; PREPARE TRANSACTION 'half'")
    subject.run("ROLLBACK PREPARED 'half'")


def test_an_owner_who_is_gone_is_missed_before(subject: Postgresql, kept: Backup) -> None:
    with _refused(subject, kept, "observed role reader"):
        subject.run("ALTER ROLE reader RENAME TO another")
    subject.run("ALTER ROLE another RENAME TO reader")
    subject.running.prepare()
    kept.keeper.restore(kept.folder)


def test_an_operator_who_is_no_superuser_is_refused(
    subject: Postgresql, kept: Backup, tmp_path: Path
) -> None:
    keeper = subject.place.but(operator=subject.running.profile.reader).keeper()
    for call, folder in ((keeper.back_up, tmp_path), (keeper.restore, kept.folder)):
        with pytest.raises(ActionFailed, match="observed SUPERUSER"):
            call(folder)


def test_a_slot_stands_in_no_way(subject: Postgresql, kept: Backup) -> None:
    subject.run("SELECT pg_create_logical_replication_slot('slot', 'pgoutput')")
    kept.keeper.restore(kept.folder)
    assert subject.observe() == kept.before


@pytest.mark.usefixtures("kept")
def test_an_index_or_key_that_no_dump_has_stops_no_backup(subject: Postgresql, tmp_path: Path) -> None:
    subject.run("ALTER TABLE child DISABLE TRIGGER ALL;\nINSERT INTO child (parent) VALUES (500)")
    with pytest.raises(Exception, match="could not create unique index"):
        subject.run("CREATE UNIQUE INDEX CONCURRENTLY half ON child (parent)")
    keeper = subject.place.keeper()
    keeper.back_up(tmp_path)
    keeper.restore(tmp_path)
    assert subject.answer("SELECT * FROM pg_index WHERE NOT indisvalid") == []


@pytest.mark.usefixtures("kept")
def test_an_extension_of_a_version_that_is_gone_comes_back_in_another(
    subject: Postgresql, tmp_path: Path
) -> None:
    subject.run(
        "SET allow_system_table_mods = on;\n"
        "UPDATE pg_extension SET extversion = '0.0' WHERE extname = 'vector'"
    )
    keeper = subject.place.keeper()
    keeper.back_up(tmp_path)
    keeper.restore(tmp_path)
    ((version,),) = subject.answer("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    assert str(version).startswith("0.8")


@pytest.mark.usefixtures("kept")
def test_clients_of_the_database_are_told(subject: Postgresql) -> None:
    server = subject.running
    with closing(PostgresqlClients(Operated("postgresql", server.profile, server.endpoint))) as clients:
        assert clients.others() == []
        with server.connect() as session:
            session.execute("SET application_name = 'worker'")
            assert [one.account for one in clients.others()] == ["operator"]
        with server.connect(MAINTENANCE) as session:
            session.execute("SET application_name = 'of another database'")
            assert clients.others() == []


def test_a_schema_of_a_usual_application_comes_back(
    subject: Postgresql, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """The server words some definitions or names otherwise once it has read its own words."""
    for application in ("django", "job_queue", "partitions"):
        folder = tmp_path / application
        folder.mkdir()
        subject.wipe()
        subject.run((APPLICATIONS / f"{application}.sql").read_text(encoding="utf-8"))
        with subtests.test(application):
            keeper, before = subject.place.keeper(), subject.read()
            keeper.back_up(folder)
            keeper.restore(folder)
            assert subject.read() == before


def test_a_row_goes_back_without_a_column_that_is_gone(subject: Postgresql, tmp_path: Path) -> None:
    subject.wipe()
    subject.run("CREATE TABLE t (id int PRIMARY KEY, late text);\nINSERT INTO t VALUES (1, 'x')")
    with subject.place.export() as export:
        [record] = exported(export, TABLE, wanted_of(export, TABLE), tmp_path)
        subject.run("DELETE FROM t;\nALTER TABLE t DROP late")
        assert put_back(subject.place, TABLE, [record], tmp_path) == {"late"}
    assert subject.answer("SELECT * FROM t") == [(1,)]


def test_the_database_that_every_server_has_comes_back(subject: Postgresql, tmp_path: Path) -> None:
    profile = subject.running.profile.model_copy(update={"databases": (MAINTENANCE,)})
    place = replace(subject.place, profile=profile)
    subject.running.do("CREATE TABLE t AS SELECT 1 AS id", MAINTENANCE)
    try:
        keeper = place.keeper()
        keeper.back_up(tmp_path)
        subject.running.do("INSERT INTO t VALUES (2);\nCREATE TABLE late ()", MAINTENANCE)
        with closing(PostgresqlClients(Operated("postgresql", profile, place.endpoint))) as clients:
            assert clients.others() == []
            keeper.restore(tmp_path)
        assert subject.answer("SELECT * FROM t", MAINTENANCE) == [(1,)]
        with place.view() as view:
            assert view.existing_collections() == ["public.t"]
    finally:
        subject.running.do("DROP TABLE t", MAINTENANCE)
