"""What is true of MySQL and MariaDB alone: dumps by their own programs, locks, and privileges."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pymysql
import pytest
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from rollproof.errors import ActionFailed, Unverifiable
from rollproof.stores.mysql import keeper as mysql_keeper
from rollproof.stores.mysql.connection import Mysql as MysqlClient
from rollproof.stores.mysql.connection import rows
from rollproof.stores.mysql.keeper import LOCK, MysqlKeeper
from rollproof.stores.package import MANIFEST, Kept
from rollproof.stores.reach import Reach
from tests.stack.mysql_server import OPERATOR
from tests.stack.mysql_types import TABLE
from tests.stack.stores.keeping.records import exported, put_back, wanted_of
from tests.stack.stores.mysql import Mysql
from tests.stack.stores.place import Backup

pytestmark = pytest.mark.of("mysql", "mariadb")

BROKEN_VIEW = (
    "CREATE TABLE scratch_first.base (id int, old float)",
    "INSERT INTO scratch_first.base VALUES (1, 1234567.875)",
    "CREATE VIEW scratch_first.`bro``ken` AS SELECT id, old FROM scratch_first.base",
    "CREATE VIEW scratch_second.`on it` AS SELECT * FROM scratch_first.`bro``ken`",
    "ALTER TABLE scratch_first.base RENAME COLUMN id TO number",
)


@pytest.fixture
def filled(subject: Mysql) -> Mysql:
    subject.populate()
    return subject


def _keeper(subject: Mysql) -> MysqlKeeper:
    keeper = subject.place.keeper()
    assert isinstance(keeper, MysqlKeeper)
    return keeper


@contextmanager
def _user(subject: Mysql) -> Iterator[Connection[Cursor]]:
    reach = Reach("mysql", subject.place.endpoint, subject.running.profile.operator, 60)
    with closing(MysqlClient(reach).connect()) as connection:
        yield connection


def _alter(subject: Mysql, monkeypatch: pytest.MonkeyPatch, alter: Callable[[bytes], bytes]) -> None:
    """Let the dump program have written something else."""
    run = subject.running.control.run

    def run_and_alter(*arguments: object, **named: object) -> str:
        output = run(*arguments, **named)  # type: ignore[arg-type]
        if isinstance(stdout := named.get("stdout"), Path):
            stdout.write_bytes(alter(stdout.read_bytes()))
        return output

    monkeypatch.setattr(subject.watched, "run", run_and_alter, raising=False)


def _safe(subject: Mysql, folder: Path) -> Kept:
    """Keep what there is right before a restore, in a folder of that name."""
    (folder / "safety").mkdir()
    return _keeper(subject).keep_safe(folder / "safety", up=True, backup=folder)


# The export.


def test_a_value_that_no_longer_fits_is_refused(subject: Mysql, tmp_path: Path) -> None:
    subject.wipe()
    subject.sql("CREATE TABLE t (id int PRIMARY KEY, note varchar(9))")
    subject.sql("INSERT INTO t VALUES (1, 'too long')")
    with subject.place.export() as export:
        [record] = exported(export, TABLE, wanted_of(export, TABLE), tmp_path)
        subject.sql("DELETE FROM t")
        subject.sql("ALTER TABLE t MODIFY note varchar(3)")
        with pytest.raises(Unverifiable, match="Data too long for column 'note'"):
            put_back(subject.place, TABLE, [record], tmp_path)
        subject.sql("ALTER TABLE t DROP note")
        assert put_back(subject.place, TABLE, [record], tmp_path) == {"note"}
    assert subject.sql("SELECT * FROM t") == [(1,)]


def test_the_next_row_has_a_number_behind_those_that_were_put_back(subject: Mysql, tmp_path: Path) -> None:
    subject.wipe()
    subject.sql("CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, note varchar(9))")
    subject.sql("INSERT INTO t (note) VALUES ('x'), ('y'), ('z')")
    with subject.place.export() as export:
        records = exported(export, TABLE, wanted_of(export, TABLE), tmp_path)
        subject.sql("TRUNCATE t")
        put_back(subject.place, TABLE, records, tmp_path)
    subject.sql("INSERT INTO t (note) VALUES ('later')")
    assert subject.sql("SELECT max(id) FROM t") == [(4,)]


# A backup.


ALTERED: Mapping[str, Callable[[bytes], bytes]] = {
    "none: it was cut": lambda dump: dump[: dump.rindex(b"-- Dump completed")],
    "Access denied": lambda dump: dump + b"-- standard error: mysqldump: Error: 'Access denied'\n",
    "no table": lambda dump: dump.replace(b"CREATE TABLE `child`", b"CREATE TABLE `chill`"),
}


def test_a_dump_that_is_not_whole_is_no_backup(
    subject: Mysql,
    kept: Backup,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    subtests: pytest.Subtests,
) -> None:
    for number, (observed, alter) in enumerate(ALTERED.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        with subtests.test(observed), monkeypatch.context() as patch:
            _alter(subject, patch, alter)
            with pytest.raises(ActionFailed, match="'-- Dump completed' at the end") as failure:
                kept.keeper.back_up(folder)
            assert observed in str(failure.value)
            assert not (folder / MANIFEST).exists()


def test_what_the_operator_may_not_see_is_not_left_out_silently(subject: Mysql, tmp_path: Path) -> None:
    subject.running.prepare()
    subject.populate()
    subject.running.root(f"REVOKE TRIGGER ON `scratch\\_%`.* FROM {OPERATOR}@'%'")
    try:
        with pytest.raises(ActionFailed, match="observed without TRIGGER on scratch_first"):
            _keeper(subject).back_up(tmp_path)
    finally:
        subject.running.root(f"GRANT TRIGGER ON `scratch\\_%`.* TO {OPERATOR}@'%'")


def test_floats_that_could_not_be_put_back_are_refused(filled: Mysql, tmp_path: Path) -> None:
    filled.sql("CREATE TABLE scratch_first.loose (value float)")
    filled.sql("INSERT INTO scratch_first.loose VALUES (0.1)")
    (tmp_path / "whole").mkdir()
    _keeper(filled).back_up(tmp_path / "whole")
    filled.sql("INSERT INTO scratch_first.loose VALUES (1234567.875)")
    (tmp_path / "refused").mkdir()
    with pytest.raises(
        ActionFailed, match=r"observed without exact FLOAT values of `scratch_first`\.`loose`\.`value`"
    ):
        _keeper(filled).back_up(tmp_path / "refused")


def test_rows_that_are_written_meanwhile_do_not_spoil_a_backup(filled: Mysql, tmp_path: Path) -> None:
    """The dump is of one moment: what is counted is what it holds."""
    stop = threading.Event()

    def write() -> None:
        with _user(filled) as connection:
            number = 100
            while not stop.is_set():
                rows(connection, "INSERT INTO scratch_first.child VALUES (%s, NULL)", [number])
                number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        kept = _keeper(filled).back_up(tmp_path)
    finally:
        stop.set()
        writer.join()
    _keeper(filled).restore(tmp_path)
    with filled.place.view() as view:
        assert view.counts() == kept.records


# A restore.


def test_privileges_that_a_restore_needs_are_tried_before_anything_changes(
    subject: Mysql, kept: Backup
) -> None:
    wanted = "SYSTEM_USER" if subject.running.flavour == "mysql" else "SUPER, SET USER"
    subject.running.root(f"REVOKE {wanted} ON *.* FROM {OPERATOR}@'%'")
    try:
        with pytest.raises(ActionFailed, match=r"privileges of the operator|an operator who may create"):
            kept.keeper.restore(kept.folder)
        assert subject.observe() == kept.before
    finally:
        subject.running.root(f"GRANT {wanted} ON *.* TO {OPERATOR}@'%'")


def test_a_restore_that_outlived_its_caller_is_ended(
    subject: Mysql, kept: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql_keeper, "LOCK_SECONDS", 1)
    with _user(subject) as earlier:
        assert rows(earlier, "SELECT GET_LOCK(%s, 1)", [LOCK]) == [(1,)]
        subject.sql("DELETE FROM scratch_first.child")
        kept.keeper.restore(kept.folder)
        assert subject.observe() == kept.before
        with pytest.raises(pymysql.err.OperationalError):
            rows(earlier, "SELECT 1")


def test_a_restore_does_not_wait_for_ever_for_a_table_in_use(
    subject: Mysql, kept: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql_keeper, "TABLE_LOCK_SECONDS", 1)
    with _user(subject) as user:
        rows(user, "START TRANSACTION")
        rows(user, "SELECT * FROM scratch_first.child")
        with pytest.raises(ActionFailed, match="Lock wait timeout"):
            kept.keeper.restore(kept.folder)
        rows(user, "ROLLBACK")
    kept.keeper.restore(kept.folder)
    assert subject.observe() == kept.before


# A copy before a restore.


def test_what_a_migration_broke_is_left_out_of_the_copy_before_a_restore(
    subject: Mysql, kept: Backup, tmp_path: Path
) -> None:
    for statement in BROKEN_VIEW:
        subject.sql(statement)
    (tmp_path / "refused").mkdir()
    with pytest.raises(ActionFailed):
        kept.keeper.back_up(tmp_path / "refused")
    safe = _safe(subject, tmp_path)
    assert safe.records["scratch_first.base"] == 1
    for left_out in (
        "view scratch_first.bro`ken",
        "view scratch_second.on it",
        "FLOAT values of `scratch_first`",
    ):
        assert left_out in safe.method
    kept.keeper.restore(kept.folder)
    assert subject.observe() == kept.before
    kept.keeper.restore(tmp_path / "safety")
    assert subject.sql("SELECT number FROM scratch_first.base") == [(1,)]
