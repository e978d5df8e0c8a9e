"""MySQL and MariaDB, write side, against real servers of both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import cast

import pymysql
import pytest
from pydantic import SecretStr

from fixtures.errors import ActionFailed, Unverifiable
from fixtures.stores.mysql import View, connect, rows
from fixtures.stores.reach import Reach
from rollback_actions.containers import ContainerControl
from rollback_actions.stores import mysql as mysql_keeper
from rollback_actions.stores import mysql_programs, mysql_schema
from rollback_actions.stores.mysql import Keeper
from rollback_actions.stores.mysql_programs import LOCK
from tests.stack.mysql_content import CONTENT, DAMAGE, QUERIES
from tests.stack.mysql_server import OPERATOR, MysqlServer
from tests.stack.scratch_stores import SECRET, changed, expect_damage_refused


@pytest.fixture
def filled(running: MysqlServer) -> MysqlServer:
    running.prepare()
    running.root(CONTENT)
    return running


def _keeper(running: MysqlServer, control: ContainerControl | None = None) -> Keeper:
    return Keeper("mysql", running.profile, running.endpoint, control or running.control)


def _worded(definition: str) -> str:
    # After a dump, MySQL names the character set beside a collation, and a body may end with a space.
    return definition.replace("CHARACTER SET latin1 COLLATE latin1_", "COLLATE latin1_").rstrip()


def _observe(running: MysqlServer) -> object:
    """Return the answers to `QUERIES`; one that cannot be answered counts as such."""
    answers: dict[str, object] = {}
    with closing(connect(Reach("mysql", running.endpoint, running.profile.operator, 20))) as connection:
        for query in QUERIES:
            try:
                answers[query] = [
                    tuple(
                        _worded(part) if isinstance(part, str) and "SHOW" in query else part for part in row
                    )
                    for row in rows(connection, query)
                ]
            except pymysql.err.MySQLError as error:
                answers[query] = error.args
    return answers


def test_a_restore_gives_back_every_row_and_definition(filled: MysqlServer, tmp_path: Path) -> None:
    before = _observe(filled)
    keeper = _keeper(filled)
    kept = keeper.back_up(tmp_path)
    assert _observe(filled) == before
    assert kept.records == {
        "scratch_first.child": 2,
        "scratch_first.measured": 3,
        "scratch_first.od`d; näme%s": 3,
        "scratch_first.parent": 3,
        "scratch_second.alone": 1,
    }
    with View("mysql", filled.profile, filled.endpoint) as view:
        assert view.counts() == kept.records
    assert "--single-transaction" in kept.method
    assert SECRET not in (tmp_path / "backup.json").read_text() + (tmp_path / "dump.sql").read_text()

    filled.root("CREATE TABLE scratch_first.late (id int)")
    assert keeper.restore(tmp_path).notes == ("dropped scratch_first.late, which came after the backup",)
    assert _observe(filled) == before
    for name, damage in DAMAGE.items():
        filled.root(damage)
        assert _observe(filled) != before, name
        restored = keeper.restore(tmp_path)
        assert _observe(filled) == before, name
        assert restored.records == kept.records
    keeper.restore(tmp_path)
    assert _observe(filled) == before
    expect_damage_refused(keeper, tmp_path, lambda: _observe(filled))


class _Altered:
    """A control that lets a test alter what the dump program wrote, or see what it is told to run."""

    def __init__(self, control: ContainerControl, alter: Callable[[bytes], bytes]) -> None:
        self._control = control
        self._alter = alter
        self.commands: list[Sequence[str]] = []

    def run(
        self,
        service: str,
        command: Sequence[str],
        *,
        deadline: float,
        environment: Mapping[str, SecretStr] | None = None,
        stdin: Path | None = None,
        stdout: Path | None = None,
    ) -> str:
        self.commands.append(command)
        output = self._control.run(
            service, command, deadline=deadline, environment=environment, stdin=stdin, stdout=stdout
        )
        if stdout is not None:
            stdout.write_bytes(self._alter(stdout.read_bytes()))
        return output


@pytest.mark.parametrize(
    ("alter", "observed"),
    [
        (lambda dump: dump[: len(dump) // 2], "none: it was cut"),
        (lambda dump: dump[: dump.rindex(b"-- Dump completed")], "none: it was cut"),
        (lambda dump: dump + b"-- standard error: mysqldump: Error: 'Access denied'\n", "Access denied"),
        (lambda dump: dump.replace(b"CREATE TABLE `child`", b"CREATE TABLE `chill`"), "no table"),
        (lambda dump: dump.replace(b"USE `scratch_second`;", b"-- nothing"), "no table"),
    ],
    ids=["cut in the middle", "cut at the end", "complaint and exit code 0", "no table", "no database"],
)
def test_a_dump_that_is_not_whole_is_no_backup(
    filled: MysqlServer, tmp_path: Path, alter: Callable[[bytes], bytes], observed: str
) -> None:
    control = cast("ContainerControl", _Altered(filled.control, alter))
    with pytest.raises(ActionFailed, match="'-- Dump completed' at the end") as failure:
        _keeper(filled, control).back_up(tmp_path)
    assert observed in str(failure.value)
    assert not (tmp_path / "backup.json").exists()


def test_no_secret_is_on_a_command_line(filled: MysqlServer, tmp_path: Path) -> None:
    altered = _Altered(filled.control, lambda dump: dump)
    keeper = _keeper(filled, cast("ContainerControl", altered))
    keeper.back_up(tmp_path)
    keeper.restore(tmp_path)
    assert len(altered.commands) == 2
    assert SECRET not in repr(altered.commands)


def test_what_the_operator_may_not_see_is_not_left_out_silently(filled: MysqlServer, tmp_path: Path) -> None:
    filled.root(f"REVOKE TRIGGER ON `scratch\\_%`.* FROM {OPERATOR}@'%'")
    with pytest.raises(ActionFailed, match="observed none for TRIGGER on scratch_first"):
        _keeper(filled).back_up(tmp_path)


def test_privileges_that_a_restore_needs_are_tried_before_anything_changes(
    filled: MysqlServer, tmp_path: Path
) -> None:
    keeper = _keeper(filled)
    keeper.back_up(tmp_path)
    before = _observe(filled)
    wanted = "SYSTEM_USER" if filled.flavour == "mysql" else "SUPER, SET USER"
    filled.root(f"REVOKE {wanted} ON *.* FROM {OPERATOR}@'%'")
    with pytest.raises(ActionFailed, match="privileges of the operator"):
        keeper.restore(tmp_path)
    assert _observe(filled) == before


def test_a_change_of_a_table_while_it_is_dumped_is_no_backup(filled: MysqlServer, tmp_path: Path) -> None:
    def migrate(dump: bytes) -> bytes:
        filled.root("ALTER TABLE scratch_first.child ADD late int")
        return dump

    control = cast("ContainerControl", _Altered(filled.control, migrate))
    with pytest.raises(ActionFailed, match=r"another definition of table scratch_first\.child"):
        _keeper(filled, control).back_up(tmp_path)


def test_floats_that_could_not_be_put_back_are_refused(filled: MysqlServer, tmp_path: Path) -> None:
    filled.root(
        "CREATE TABLE scratch_first.loose (value float); INSERT INTO scratch_first.loose VALUES (0.1)"
    )
    keeper = _keeper(filled)
    (tmp_path / "whole").mkdir()
    keeper.back_up(tmp_path / "whole")
    filled.root("INSERT INTO scratch_first.loose VALUES (1234567.875)")
    (tmp_path / "refused").mkdir()
    with pytest.raises(ActionFailed, match=r"1 values to put back, 0 key columns"):
        keeper.back_up(tmp_path / "refused")


def test_a_restore_that_outlived_its_caller_is_ended(
    filled: MysqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql_keeper, "LOCK_SECONDS", 1)
    keeper = _keeper(filled)
    keeper.back_up(tmp_path)
    before = _observe(filled)
    with closing(connect(Reach("mysql", filled.endpoint, filled.profile.operator, 60))) as earlier:
        assert rows(earlier, "SELECT GET_LOCK(%s, 1)", [LOCK]) == [(1,)]
        filled.root("DELETE FROM scratch_first.child")
        keeper.restore(tmp_path)
        assert _observe(filled) == before
        with pytest.raises(pymysql.err.OperationalError):
            rows(earlier, "SELECT 1")


class _Killed(_Altered):
    """A control whose client dies after it has read a part of the dump."""

    def __init__(self, control: ContainerControl, part: float) -> None:
        super().__init__(control, lambda dump: dump)
        self._part = part

    def run(  # type: ignore[override]
        self, service: str, command: Sequence[str], *, stdin: Path, **options: object
    ) -> str:
        dump = stdin.read_bytes()
        beginning = stdin.with_suffix(".part")
        beginning.write_bytes(dump[: int(len(dump) * self._part)])
        with suppress(ActionFailed):
            self._control.run(service, command, stdin=beginning, **options)  # type: ignore[arg-type]
        beginning.unlink()
        raise KeyboardInterrupt


@pytest.mark.parametrize("part", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_restore_that_was_killed_is_done_by_the_next(
    filled: MysqlServer, tmp_path: Path, part: float
) -> None:
    before = _observe(filled)
    _keeper(filled).back_up(tmp_path)
    filled.root("DROP DATABASE scratch_second")
    killed = _keeper(filled, cast("ContainerControl", _Killed(filled.control, part)))
    with pytest.raises(KeyboardInterrupt):
        killed.restore(tmp_path)
    assert _observe(filled) != before
    _keeper(filled).restore(tmp_path)
    assert _observe(filled) == before


def test_a_restore_does_not_wait_for_ever_for_a_table_in_use(
    filled: MysqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql_programs, "TABLE_LOCK_SECONDS", 1)
    keeper = _keeper(filled)
    keeper.back_up(tmp_path)
    before = _observe(filled)
    with closing(connect(Reach("mysql", filled.endpoint, filled.profile.operator, 60))) as user:
        rows(user, "START TRANSACTION")
        rows(user, "SELECT * FROM scratch_first.child")
        with pytest.raises(ActionFailed, match="Lock wait timeout"):
            keeper.restore(tmp_path)
        rows(user, "ROLLBACK")
    keeper.restore(tmp_path)
    assert _observe(filled) == before


def test_rows_that_are_written_meanwhile_do_not_spoil_a_backup(filled: MysqlServer, tmp_path: Path) -> None:
    """The dump is of one moment: what is counted is what it holds."""
    stop = threading.Event()

    def write() -> None:
        with closing(connect(Reach("mysql", filled.endpoint, filled.profile.operator, 60))) as connection:
            number = 100
            while not stop.is_set():
                rows(connection, "INSERT INTO scratch_first.child VALUES (%s, NULL)", [number])
                number += 1

    writer = threading.Thread(target=write)
    writer.start()
    keeper = _keeper(filled)
    try:
        kept = keeper.back_up(tmp_path)
    finally:
        stop.set()
        writer.join()
    keeper.restore(tmp_path)
    with View("mysql", filled.profile, filled.endpoint) as view:
        assert view.counts() == kept.records


def test_a_backup_of_other_databases_is_refused(filled: MysqlServer, tmp_path: Path) -> None:
    _keeper(filled).back_up(tmp_path)
    before = _observe(filled)
    profile = changed(filled.profile, databases=("scratch_first",))
    other = Keeper("mysql", profile, filled.endpoint, filled.control)
    with pytest.raises(ActionFailed, match="databases scratch_first"):
        other.restore(tmp_path)
    assert _observe(filled) == before


@pytest.mark.parametrize(
    "databases", [("scratch_second",), ("scratch_first", "scratch_second")], ids=["one", "all"]
)
def test_a_database_that_was_dropped_is_kept_as_absent_before_a_restore(
    filled: MysqlServer, tmp_path: Path, databases: Sequence[str]
) -> None:
    keeper = _keeper(filled)
    (tmp_path / "backup").mkdir()
    (tmp_path / "safety").mkdir()
    before = _observe(filled)
    kept = keeper.back_up(tmp_path / "backup")
    for database in databases:
        filled.root(f"DROP DATABASE {database}")
    dropped = _observe(filled)

    (tmp_path / "refused").mkdir()
    with pytest.raises(Unverifiable, match="no database of that name"):
        keeper.back_up(tmp_path / "refused")
    safe = keeper.keep_safe(tmp_path / "safety")
    assert safe.records == {
        name: records for name, records in kept.records.items() if name.split(".")[0] not in databases
    }
    for database in databases:
        assert f"database {database}, which is not there" in safe.method

    keeper.restore(tmp_path / "backup")
    assert _observe(filled) == before
    # And back to what was there before it.
    keeper.restore(tmp_path / "safety")
    assert _observe(filled) == dropped


def test_what_a_migration_broke_is_left_out_of_the_copy_before_a_restore(
    filled: MysqlServer, tmp_path: Path
) -> None:
    keeper = _keeper(filled)
    (tmp_path / "backup").mkdir()
    (tmp_path / "safety").mkdir()
    keeper.back_up(tmp_path / "backup")
    before = _observe(filled)
    filled.root(
        "CREATE TABLE scratch_first.base (id int, old float);"
        " INSERT INTO scratch_first.base VALUES (1, 1234567.875);"
        " CREATE VIEW scratch_first.`bro``ken` AS SELECT id, old FROM scratch_first.base;"
        " CREATE VIEW scratch_second.`on it` AS SELECT * FROM scratch_first.`bro``ken`;"
        " ALTER TABLE scratch_first.base RENAME COLUMN id TO number;"
    )
    (tmp_path / "refused").mkdir()
    with pytest.raises(ActionFailed):
        keeper.back_up(tmp_path / "refused")
    safe = keeper.keep_safe(tmp_path / "safety")
    assert safe.records["scratch_first.base"] == 1
    for left_out in (
        "view scratch_first.bro`ken",
        "view scratch_second.on it",
        "FLOAT values of `scratch_first`",
    ):
        assert left_out in safe.method
    keeper.restore(tmp_path / "backup")
    assert _observe(filled) == before
    keeper.restore(tmp_path / "safety")
    with closing(connect(Reach("mysql", filled.endpoint, filled.profile.operator, 20))) as connection:
        assert rows(connection, "SELECT number FROM scratch_first.base") == [(1,)]


def test_a_complaint_of_the_dump_program_stops_no_copy_before_a_restore(
    filled: MysqlServer, tmp_path: Path
) -> None:
    complaint = b"\n-- standard error: mysqldump: Couldn't execute 'SHOW CREATE FUNCTION `f`': gone (1305)\n"
    control = cast("ContainerControl", _Altered(filled.control, lambda dump: dump + complaint))
    (tmp_path / "backup").mkdir()
    with pytest.raises(ActionFailed, match="SHOW CREATE FUNCTION"):
        _keeper(filled, control).back_up(tmp_path / "backup")
    (tmp_path / "safety").mkdir()
    safe = _keeper(filled, control).keep_safe(tmp_path / "safety")
    assert "SHOW CREATE FUNCTION `f`" in safe.method
    assert sum(safe.records.values()) == 12
    before = _observe(filled)
    filled.root("DELETE FROM scratch_second.alone")
    _keeper(filled).restore(tmp_path / "safety")
    assert _observe(filled) == before


def test_rows_that_were_not_dumped_are_never_left_out(filled: MysqlServer, tmp_path: Path) -> None:
    def cut(dump: bytes) -> bytes:
        lines = [line for line in dump.splitlines(keepends=True) if b"INSERT INTO `alone`" not in line]
        return b"".join(lines) + b"\n-- standard error: mysqldump: Error 2013 when dumping table `alone`\n"

    control = cast("ContainerControl", _Altered(filled.control, cut))
    with pytest.raises(ActionFailed, match=r"expected 1 rows of scratch_second\.alone"):
        _keeper(filled, control).keep_safe(tmp_path)


def test_a_dump_program_that_ends_with_an_error_stops_no_copy_before_a_restore(
    filled: MysqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a broken view that nobody saw beforehand: the rows are all there."""
    monkeypatch.setattr(mysql_schema, "broken_views", lambda *_: {})
    filled.root(
        "CREATE TABLE scratch_first.base (id int); INSERT INTO scratch_first.base VALUES (1);"
        " CREATE VIEW scratch_first.broken AS SELECT id FROM scratch_first.base;"
        " ALTER TABLE scratch_first.base RENAME COLUMN id TO number;"
    )
    safe = _keeper(filled).keep_safe(tmp_path)
    assert "scratch_first.broken" in safe.method
    assert safe.records["scratch_first.base"] == 1
    assert safe.records["scratch_second.alone"] == 1
