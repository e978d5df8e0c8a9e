"""MySQL and MariaDB as subjects of the contract: every type, and definitions that are hard to give back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import ClassVar, cast

import pymysql
import pytest

from rollproof.stores import tables
from rollproof.stores.contract import ExportedRecord, Pace
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.mysql.connection import Mysql as MysqlClient
from rollproof.stores.mysql.connection import rows
from rollproof.stores.reach import Reach
from tests.stack.mysql_content import CONTENT, DAMAGE, QUERIES
from tests.stack.mysql_server import DATABASES, running_server
from tests.stack.mysql_types import TABLE, fill
from tests.stack.stores.keeping.subject import WHOLE, Bench, Chosen, Damage, Exported, Subject

CHARSETS = (
    "utf8mb4", "utf8mb3", "ascii", "latin1", "latin2", "cp1251", "greek", "utf16", "utf16le", "utf32", "ucs2",
    "sjis", "ujis", "gbk", "gb18030", "big5", "euckr", "binary",
)  # fmt: skip
AWKWARD = r"""
SET time_zone = '+00:00', sql_mode = 'NO_AUTO_VALUE_ON_ZERO';
CREATE TABLE `o``d; näme%s` (
  `a``b` int AUTO_INCREMENT PRIMARY KEY, `ü; --` text CHARACTER SET utf8mb4, `b` varbinary(300),
  `e` enum('','1','b') NULL, `s` set('','a','b'), `f` float, `d` double, `x` decimal(65,30),
  `t` timestamp(6) NOT NULL DEFAULT now(6) ON UPDATE now(6), `n` time(6),
  `g` int GENERATED ALWAYS AS (z + 1) STORED, `h` int AS (z + 1), z int(9) zerofill
);
INSERT INTO `o``d; näme%s` (`a``b`, `ü; --`, `b`, `e`, `s`, `f`, `d`, `x`, `t`, `n`, z) VALUES
  (0, 'a\nb\r\n\0\Z\\''"`;--%s é😀', x'000a0d1a27225c', 2, 1, 1.17549435e-38, 5e-324, -0.1,
    '2024-11-03 06:30:00.000001', '-838:59:59', 1),
  (-5, '\n', x'', 1, 0, 3.4028234e38, 1.7976931348623157e308,
    99999999999999999999999999999999999.999999999999999999999999999999,
    '1970-01-01 00:00:01', '838:59:59', 0),
  (7, '\\n', '\\', 3, 3, -0.1, 0.1e0, 1e-30, '2038-01-19 03:14:07.999999', '-00:00:00.000001', 123),
  (8, 'NULL', 'NULL', NULL, NULL, 16777217, 9007199254740993, 0, '2024-03-10 02:30:00', 0, NULL);
SET sql_mode = '';
UPDATE `o``d; näme%s` SET `e` = 0, t = t WHERE `a``b` = 8;
"""
AWKWARD_EXACTLY = (
    "SELECT HEX(`ü; --`), HEX(b), e + 0, s + 0, f + 0.0e0, d, x, t, n, z FROM `o``d; näme%s` ORDER BY `a``b`"
)
TEXTS = ('it\'s \\ "x"\n', "é ñ ß ", "Ж ξ", "日本 한 中", "\U0001f600", "", "?")
BESIDE = "scratch_other"
FILLED = {
    "scratch_first.child": 2,
    "scratch_first.measured": 3,
    "scratch_first.od`d; näme%s": 3,
    "scratch_first.parent": 3,
    "scratch_second.alone": 1,
}


def _done(statements: str) -> Damage:
    """Return the damage that `statements` do."""

    def damage(subject: Mysql) -> None:
        for statement in statements.split(";"):
            subject.sql(statement)

    return damage


class Mysql(Subject):
    """The stack's server, MySQL as a rule."""

    server_kind: ClassVar[str] = "stack"

    shown: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "1": {
            "id": 1,
            "big": -(2**63),
            "huge": 2**64 - 1,
            "price": "1.10",
            "exact": "123456789012345678901234567890.0123456789",
            "small": 1234567.875,
            "large": 0.1 + 0.2,
            "day": "2024-01-01",
            "fine": "2024-01-01 00:00:00.000001",
            "stamp": "2024-01-01 00:00:01",
            "span": "-01:00:00.500",
            "few": 5,
            "choice": "a",
            "choices": "a,b",
            "latin": {"text": "é", "base64": "6Q=="},
            "wide": {"text": "é", "base64": "AOk="},
            "raw": {"base64": "AP8="},
            "long_text": "long",
            "seen_by": 1,
            "json": '{"a": [1, 2.5, "x"]}',
        },
    }
    exclude = ("plain", "json", "price")
    absent = "scratch_first.absent"
    sizes = True

    rounds: ClassVar[Mapping[str, Mapping[str, Damage]]] = {
        "rows and definitions": {
            name: _done(statements) for name, statements in DAMAGE.items() if name != "a database dropped"
        },
    }
    notes = frozenset({"dropped scratch_first.late, which came after the backup"})
    words = ("--single-transaction",)
    kills = (0.1, 0.5, 0.9)
    strangers: ClassVar[Mapping[str, Mapping[str, object]]] = {"databases": {"databases": ("scratch_first",)}}
    drops = ("a database", "everything")
    gone = "no database of that name"
    programs = True
    disturbed = r"another definition of scratch_first\.child"
    overtaken = r"1 rows of scratch_first\.child instead of 2"

    def __init__(self, bench: Bench, opened: ExitStack) -> None:
        folder = bench.new_folder(self.server_kind)
        self.server = opened.enter_context(
            running_server(self.server_kind, bench.stack, bench.target, bench.engine, bench.control, folder)
        )
        self.settle("mysql", self.server.profile, self.server.endpoint, self.server.control)
        reach = Reach("mysql", self.server.endpoint, self.server.profile.operator, 60)
        self._connection = opened.enter_context(closing(MysqlClient(reach).connect()))
        self.sql: Callable[..., list[tuple[object, ...]]] = partial(rows, self._connection)
        self.sql("SET SESSION time_zone = '+00:00', sql_mode = ''")
        self.sql(f"DROP DATABASE IF EXISTS {BESIDE}")
        self.sql(f"CREATE DATABASE {BESIDE}")
        opened.callback(self.sql, f"DROP DATABASE {BESIDE}")
        self.sql(f"CREATE TABLE {BESIDE}.t AS SELECT 1 AS id")

    def clear(self) -> None:
        for database in DATABASES:
            self.sql(f"DROP DATABASE IF EXISTS {database}")
            self.sql(f"CREATE DATABASE {database}")
        self._connection.select_db(DATABASES[0])

    # The export.

    def _types(self) -> Exported:
        fill(self.server)

        def damage() -> None:
            self.sql("DELETE FROM t WHERE id % 2")
            self.sql("UPDATE t SET tiny = 9, last = 'changed'")

        def look(records: Sequence[ExportedRecord], _folder: Path) -> None:
            found = {record.key: cast("Mapping[str, object]", record.content) for record in records}
            assert "twice" not in found["1"]
            assert all("seen_by" in row for row in found.values())
            told = {name for name, value in found["3"].items() if value is not None}
            assert told == {"id", "huge", "sure", "last"}

        return Exported(TABLE, damage, look=look)

    def _small(self) -> Exported:
        made = self._types()
        return Exported(TABLE, made.damage, small=True)

    def _awkward(self) -> Exported:
        self.server.root(AWKWARD, "scratch_first")
        exact = partial(self.sql, AWKWARD_EXACTLY)
        assert {row[2] for row in exact()} == {0, 1, 2, 3}
        assert {row[3] for row in exact()} == {0, 1, 3, None}

        def damage() -> None:
            self.sql("DELETE FROM `o``d; näme%s` WHERE `a``b` IN (0, 8)")
            self.sql("UPDATE `o``d; näme%s` SET z = 77")

        return Exported("scratch_first.o`d; näme%s", damage, exact=exact)

    def _charsets(self) -> Exported:
        known = {
            name for (name,) in self.sql("SELECT character_set_name FROM information_schema.character_sets")
        }
        charsets = [name for name in CHARSETS if name in known]
        assert len(charsets) >= 15
        columns = [
            f"{name}_{kind[:4]} {kind} CHARACTER SET {name}"
            for name in charsets
            for kind in ("varchar(99)", "text")
        ]
        self.sql(f"CREATE TABLE t (id int PRIMARY KEY, {', '.join(columns)}) ROW_FORMAT = DYNAMIC")
        for number, value in enumerate(TEXTS):
            # What a character set does not have becomes a question mark.
            self.sql("INSERT INTO t VALUES %s", [(number, *[value] * len(columns))])
        change = partial(self.sql, "UPDATE t SET latin1_text = 'changed', utf8mb4_varc = ''")
        return Exported(TABLE, change)

    def _long(self) -> Exported:
        self.sql(
            "CREATE TABLE t (id int PRIMARY KEY, b longblob, c longtext CHARACTER SET utf16, d json,"
            " e longblob, f longblob)"
        )
        self.sql(
            "INSERT INTO t VALUES (1, REPEAT(x'000a27ff', 200000), REPEAT('é日', 500000),"
            " CONCAT('[\"', REPEAT('x', 1000000), '\"]'), REPEAT('e', 200000), REPEAT('f', 200000))"
        )

        return Exported(TABLE, partial(self.sql, "UPDATE t SET b = ''"))

    def _keyless(self) -> Exported:
        self.sql("CREATE TABLE t (a int, b text)")
        self.sql("INSERT INTO t VALUES (1, 'x'), (1, 'x'), (NULL, NULL), (2, 'y')")

        def look(records: Sequence[ExportedRecord], _folder: Path) -> None:
            assert len(records) == 4

        return Exported(TABLE, partial(self.sql, "DELETE FROM t"), look=look)

    def _part_of_a_text(self) -> Exported:
        """Digests know no key that is a part of a text: yet a second row would be refused."""
        self.sql("CREATE TABLE t (a text NOT NULL, b int, PRIMARY KEY (a(9)))")
        self.sql("INSERT INTO t VALUES ('one', 1), ('two', 2)")
        return Exported(TABLE, partial(self.sql, "UPDATE t SET b = 3"))

    def _referred_to(self) -> Exported:
        self.sql("CREATE TABLE t (id int PRIMARY KEY, note text)")
        self.sql(
            "CREATE TABLE child (id int PRIMARY KEY, parent int,"
            " FOREIGN KEY (parent) REFERENCES t (id) ON DELETE CASCADE)"
        )
        self.sql("INSERT INTO t VALUES (1, 'x')")
        self.sql("INSERT INTO child VALUES (1, 1)")
        change = partial(self.sql, "UPDATE t SET note = 'y'")
        return Exported(TABLE, change, exact=partial(self.sql, "SELECT * FROM child"))

    exported: ClassVar[Mapping[str, Callable[[Mysql], Exported]]] = {
        "every type": _types,
        "every type in small pieces": _small,
        "awkward values and names": _awkward,
        "character sets": _charsets,
        "long values": _long,
        "rows without a key": _keyless,
        "a part of a text for a key": _part_of_a_text,
        "rows that others refer to": _referred_to,
    }

    def choose(self) -> Chosen:
        self.sql("CREATE TABLE t (id int PRIMARY KEY, note varchar(9))")
        self.sql("INSERT INTO t VALUES (0, 'note')")
        for doubled in (1, 2, 4, 8, 16, 32, 64):
            self.sql("INSERT INTO t SELECT id + %s, note FROM t WHERE id + %s < 100", [doubled, doubled])

        def spoil() -> None:
            self.sql("DELETE FROM t WHERE id = 4")
            self.sql("UPDATE t SET note = 'later' WHERE id = 5")
            self.sql("UPDATE t SET id = 106 WHERE id = 6")

        return Chosen(TABLE, ("3", "4", "5", "6", "77"), spoil, ("3", "77"), size=20)

    def small(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(tables, "TOLD", 2)  # beyond it, rows are compared here
        patch.setattr(Pace, "next_size", lambda *_: 7)

    # The keeper.

    def fill(self, kind: str = WHOLE) -> Mapping[str, int]:
        self.clear()
        self.server.root(CONTENT)
        return FILLED

    def observe(self) -> object:
        """Return the answers to `QUERIES`; one that cannot be answered counts as such."""
        answers: dict[str, object] = {}
        reach = Reach("mysql", self.server.endpoint, self.server.profile.operator, 60)
        with closing(MysqlClient(reach).connect()) as connection:
            for query in QUERIES:
                try:
                    answers[query] = [
                        tuple(_worded(part) if "SHOW" in query else part for part in row)
                        for row in rows(connection, query)
                    ]
                except pymysql.err.MySQLError as error:
                    answers[query] = error.args
        return answers

    def beside(self) -> object:
        return self.sql(f"SHOW TABLES FROM {BESIDE}"), self.sql(f"CHECKSUM TABLE {BESIDE}.t")

    def add(self) -> None:
        self.sql("CREATE TABLE scratch_first.late (id int)")

    def killed(self, keeper: StoreKeeper, part: float, patch: pytest.MonkeyPatch) -> None:
        """Let the client die after it has read a part of the dump."""
        self.watched.die(part, patch)

    def drop(self, what: str) -> Mapping[str, int]:
        databases = DATABASES[1:] if what == "a database" else DATABASES
        for database in databases:
            self.sql(f"DROP DATABASE {database}")
        return {name: records for name, records in FILLED.items() if name.split(".")[0] not in databases}

    def step(self, keeper: StoreKeeper) -> tuple[object, str]:
        return self.watched, "run"

    def reading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        migration = "ALTER TABLE scratch_first.child ADD late int"
        return self.watched, "run", partial(self.sql, migration)

    def loading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        delete = "DELETE FROM scratch_first.child LIMIT 1"
        return keeper, "_load", partial(self.sql, delete)


class Mariadb(Mysql):
    """A MariaDB of the tests' own."""

    server_kind = "mariadb"
    variant = True


def _worded(part: object) -> object:
    # After a dump, MySQL names the character set beside a collation, and a body may end with a space.
    if not isinstance(part, str):
        return part
    return part.replace("CHARACTER SET latin1 COLLATE latin1_", "COLLATE latin1_").rstrip()
