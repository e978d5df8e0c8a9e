"""MySQL and MariaDB, write side, against real servers of both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

import pymysql
import pytest
from pydantic import SecretStr

from fixtures.engines.engine import ContainerEngine
from fixtures.errors import ActionFailed
from fixtures.stores.mysql import View, connect, rows, server
from fixtures.stores.profiles import MysqlProfile
from fixtures.stores.reach import Reach
from fixtures.target import Target
from rollback_actions.containers import ContainerControl
from rollback_actions.stores import mysql as mysql_keeper
from rollback_actions.stores.mysql import LOCK, Keeper
from staging.stack import Stack
from tests.stack.mysql_server import OPERATOR, MysqlServer, mariadb_server, stack_server
from tests.stack.scratch_stores import SECRET, changed, expect_damage_refused

CONTENT = r"""
ALTER DATABASE scratch_first CHARACTER SET latin1 COLLATE latin1_german1_ci;
USE scratch_first;
CREATE TABLE parent (
  id int PRIMARY KEY AUTO_INCREMENT,
  name varchar(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  small float, large double, bytes blob, bits bit(5), json json, at timestamp(3) NULL, choice enum('a','b'),
  length int GENERATED ALWAYS AS (length(name)) STORED,
  KEY by_name (name(10)), CHECK (large <> 7)
) AUTO_INCREMENT = 500 COMMENT 'it''s; a
line';
CREATE TABLE child (
  id int PRIMARY KEY, parent int, CONSTRAINT of_parent FOREIGN KEY (parent) REFERENCES parent (id)
);
CREATE TABLE `od``d; näme%s` (`a``b` int);
CREATE TABLE measured (
  place varchar(9), at datetime, value float, changed timestamp(6) DEFAULT now(6) ON UPDATE now(6),
  PRIMARY KEY (place, at)
);
INSERT INTO parent (name, small, large, bytes, bits, json, at, choice) VALUES
  ('a;b(''"\\\n)', 1.5, 0.1e0 + 0.2e0, x'00ff27', b'10101', '{"a":[1,2.50]}', '2024-01-01 00:00:00.123', 'b'),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  ('INSERT INTO `parent` VALUES (1),(2)', 0.1, 1e300, '', '', 'null', NULL, 'a');
INSERT INTO child VALUES (1, 500), (2, 501);
INSERT INTO `od``d; näme%s` VALUES (1), (1), (NULL);
INSERT INTO measured (place, at, value) VALUES ('it''s', '2024-01-01', 1234567.875), ('ü', '2024-01-01', 0.1),
  ('x', '2024-01-02', 3.40281e38);
CREATE VIEW seen AS SELECT id, concat(name, 'x') AS name FROM parent;
CREATE VIEW seen_again AS SELECT * FROM seen;
DELIMITER ;;
CREATE TRIGGER watch BEFORE INSERT ON child FOR EACH ROW BEGIN
INSERT INTO `od``d; näme%s` VALUES (1);
END;;
CREATE PROCEDURE twin (IN x int) COMMENT 'same name' BEGIN
INSERT INTO `parent` VALUES (1),(2);
SELECT x; END;;
CREATE FUNCTION twin (x int) RETURNS int DETERMINISTIC RETURN x + 1;;
CREATE EVENT clean ON SCHEDULE EVERY 1 DAY DO BEGIN DELETE FROM child WHERE id < 0; END;;
DELIMITER ;
USE scratch_second;
CREATE TABLE alone (id int PRIMARY KEY, text text);
INSERT INTO alone VALUES (1, repeat('long (and) ''quoted'' ', 3000));
"""
# Every definition as the server words it, and every value at full precision.
QUERIES = (
    *(
        f"SHOW CREATE {what}"
        for what in (
            "TABLE scratch_first.parent",
            "TABLE scratch_first.child",
            "TABLE scratch_first.`od``d; näme%s`",
            "TABLE scratch_first.measured",
            "TABLE scratch_second.alone",
            "VIEW scratch_first.seen",
            "VIEW scratch_first.seen_again",
            "VIEW scratch_first.late",
            "PROCEDURE scratch_first.twin",
            "FUNCTION scratch_first.twin",
        )
    ),
    "SHOW FULL TABLES FROM scratch_first",
    "SHOW FULL TABLES FROM scratch_second",
    "SELECT *, large + 0.0e0, hex(name), hex(bytes), bits + 0 FROM scratch_first.parent ORDER BY 1",
    "SELECT * FROM scratch_first.child ORDER BY 1",
    "SELECT * FROM scratch_first.`od``d; näme%s` ORDER BY 1",
    "SELECT place, at, value + 0.0e0, changed FROM scratch_first.measured ORDER BY 1",
    "SELECT * FROM scratch_second.alone",
    "SELECT * FROM information_schema.schemata WHERE schema_name LIKE 'scratch%' ORDER BY 2",
    "SELECT * FROM information_schema.referential_constraints WHERE constraint_schema LIKE 'scratch%'",
    (
        "SELECT trigger_name, action_timing, trim(action_statement), sql_mode, definer"
        " FROM information_schema.triggers WHERE trigger_schema LIKE 'scratch%'"
    ),
    (
        "SELECT event_name, trim(event_definition), status, starts, definer"
        " FROM information_schema.events WHERE event_schema LIKE 'scratch%'"
    ),
)
DAMAGE = {
    "rows deleted": "DELETE FROM scratch_first.child WHERE id = 1",
    "a row added": "INSERT INTO scratch_first.child VALUES (3, NULL)",
    "one value changed": "UPDATE scratch_first.parent SET choice = 'a' WHERE id = 500",
    "trailing space": "UPDATE scratch_first.parent SET name = concat(name, ' ') WHERE id = 502",
    "less precision": "UPDATE scratch_first.measured SET changed = changed, value = 1234570 WHERE value > 9",
    "a column dropped": "ALTER TABLE scratch_first.parent DROP COLUMN choice",
    "an index dropped": "ALTER TABLE scratch_first.parent DROP KEY by_name",
    "a foreign key dropped": "ALTER TABLE scratch_first.child DROP FOREIGN KEY of_parent",
    "another collation": "ALTER TABLE scratch_first.parent MODIFY name varchar(50) CHARACTER SET utf8mb4",
    "another default": "ALTER DATABASE scratch_first CHARACTER SET utf8mb4",
    "a view dropped": "DROP VIEW scratch_first.seen",
    "a view added": "CREATE VIEW scratch_first.late AS SELECT 1 AS one",
    "a trigger dropped": "DROP TRIGGER scratch_first.watch",
    "a function dropped": "DROP FUNCTION scratch_first.twin",
    "an event dropped": "DROP EVENT scratch_first.clean",
    "a table renamed": "RENAME TABLE scratch_second.alone TO scratch_second.other",
    "a database dropped": "DROP DATABASE scratch_second",
}


@pytest.fixture(scope="module", params=["stack", "mariadb"])
def running(
    request: pytest.FixtureRequest,
    stack: Stack,
    target: Target,
    engine: ContainerEngine,
    control: ContainerControl,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[MysqlServer]:
    """The stack's server, whichever of the two it is; and a MariaDB of the test's own."""
    folder = tmp_path_factory.mktemp("server")
    if request.param == "mariadb":
        with mariadb_server(stack.root, folder) as own:
            yield own
        return
    profile = changed(cast("MysqlProfile", target.stores["mysql"]))
    endpoint = engine.resolve(profile.address)
    with closing(connect(Reach("mysql", endpoint, profile.operator, 10))) as connection:
        flavour, _ = server(connection)
    with stack_server(profile, endpoint, control, flavour, folder) as scratch:
        yield scratch


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


def test_a_restore_does_not_wait_for_ever_for_a_table_in_use(
    filled: MysqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql_keeper, "TABLE_LOCK_SECONDS", 1)
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
