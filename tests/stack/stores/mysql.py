"""MySQL and MariaDB: a table with every type of column, and definitions that are hard to give back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

import pymysql
import pytest
from pydantic import SecretStr
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from rollproof.profile.sections import Account, Address
from rollproof.stores import tables
from rollproof.stores.contract import ExportedRecord, Pace
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.keepers import open_keeper
from rollproof.stores.mysql.connection import Mysql as MysqlClient
from rollproof.stores.mysql.connection import rows
from rollproof.stores.mysql.descriptor import MysqlProfile
from rollproof.stores.reach import Reach
from tests.stack.mysql_content import CONTENT, DAMAGE, QUERIES
from tests.stack.mysql_server import DATABASES, OPERATOR, MysqlServer, prepared, running_server
from tests.stack.mysql_types import TABLE, TYPES, fill
from tests.stack.scratch_stores import SECRET
from tests.stack.stores.subject import WHOLE, Act, Change, Chosen, Exported, Given, Sizes, Subject, ways

MANY = 30_000
ROWS = "INSERT" + TYPES.split("INSERT", 1)[1]
OWN = {
    "mysql": "UPDATE t SET nearby = string_to_vector('[1,2,3]'), seen_by = 1 WHERE id = 1",
    "mariadb": (
        "UPDATE t SET who = '123e4567-e89b-12d3-a456-426614174000', origin = '::1', seen_by = 1 WHERE id = 1"
    ),
}
# The account of the target that reads may read databases of this beginning alone.
READABLE = "imagedb_scratch_reading"
UNDEFINE = (
    "DROP TABLE IF EXISTS child, parent, measured, `od``d; näme%s`",
    "DROP TABLE IF EXISTS scratch_second.alone, scratch_second.other",
    "DROP VIEW IF EXISTS seen_again, seen, late",
    "DROP PROCEDURE IF EXISTS twin",
    "DROP FUNCTION IF EXISTS twin",
    "DROP EVENT IF EXISTS clean",
)
NUMBERS = tuple(range(10, 60))
# In the order of one collation, of another, and of bytes.
WORDS = (*map(str, range(30)), *["a", "B", "c", "D", "Z", "é", "ß", "%", "'", "\\", "_x"], " y", "")
TIMES = tuple(f"2024-01-01 00:{number // 60:02}:{number % 60:02}.000001" for number in NUMBERS)
TEXT, ALONE = "varchar(20)", "PRIMARY KEY (id)"
SHAPES = {
    "text by a collation": f"id {TEXT} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NOT NULL, {ALONE}",
    "int": f"id int NOT NULL, {ALONE}",
    "unsigned bigint": "id bigint unsigned NOT NULL, UNIQUE KEY (id)",
    "decimal": f"id decimal(20,3) NOT NULL, {ALONE}",
    "text of latin1": f"id {TEXT} CHARACTER SET latin1 COLLATE latin1_bin NOT NULL, {ALONE}",
    "text of utf16": f"id {TEXT} CHARACTER SET utf16 NOT NULL, {ALONE}",
    "bytes": f"id varbinary(20) NOT NULL, {ALONE}",
    "two columns": "id int NOT NULL, half int NOT NULL, PRIMARY KEY (half, id)",
    "three columns": (
        "id int NOT NULL, half varchar(9) NOT NULL, part int NOT NULL, PRIMARY KEY (half, part, id)"
    ),
    "an enum": "id int NOT NULL, e enum('z','y','x') NOT NULL DEFAULT 'y', PRIMARY KEY (id, e)",
    "a float": "id int NOT NULL, half int NOT NULL, f float NOT NULL, PRIMARY KEY (half, f, id)",
    "times": f"id datetime(6) NOT NULL, {ALONE}",
}
# What stands before the first part, between, and after the last: of which it is only known for numbers.
LATER: Mapping[str, tuple[object, ...]] = {
    "text of latin1": ("!", "ÿ", "bb"),
    "bytes": ("!", "ÿ", "bb"),
    "text by a collation": ("!", "\U0001f600", "bb"),
    "text of utf16": ("!", "\U0001f600", "bb"),
    "times": ("2023-01-01", "2024-01-01 00:00:30.5", "2025-01-01"),
}


def _set(assignment: str, fields: str, row: int = 1) -> Change:
    statements = f"UPDATE t SET {assignment} WHERE id = {row}".split("; ")  # noqa: S608 - constants
    return _do(*statements), {str(row): set(fields.split())}


def _do(*statements: str) -> Act:
    def act(subject: Mysql) -> None:
        for statement in statements:
            subject.sql(statement)

    return act


def _rows(shape: str) -> Sequence[object]:
    if shape == "times":
        return TIMES
    return WORDS if "text" in shape or shape == "bytes" else NUMBERS


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
OUTSIDE = "scratch_other"
FILLED = {
    "scratch_first.child": 2,
    "scratch_first.measured": 3,
    "scratch_first.od`d; näme%s": 3,
    "scratch_first.parent": 3,
    "scratch_second.alone": 1,
}


def _worded(part: object) -> object:
    # After a dump, MySQL names the character set next to a collation, and a body may end with a space.
    if not isinstance(part, str):
        return part
    return part.replace("CHARACTER SET latin1 COLLATE latin1_", "COLLATE latin1_").rstrip()


class Mysql(Subject):
    """Rows of `t`; the stack's own server, on an account that may do everything to scratch databases."""

    store = "mysql"
    kind: ClassVar[str] = "stack"
    mysql_alone: ClassVar[Mapping[str, Change]] = {
        "one bit of a VECTOR": _set("nearby = string_to_vector('[1,2,3.0000002]')", "nearby"),
    }
    types: ClassVar[Mapping[str, Change]] = {
        "lost": (_do("DELETE FROM t WHERE id = 2"), {"2": None}),
        "added": (_do("INSERT INTO t (id) VALUES (5)"), {"5": None}),
        "a row under another key": (_do("UPDATE t SET id = 9 WHERE id = 1"), {"1": None, "9": None}),
        "two rows swap a value": (
            _do(
                "SELECT price INTO @one FROM t WHERE id = 1",
                "UPDATE t SET price = (SELECT * FROM (SELECT price FROM t WHERE id = 2) AS o) WHERE id = 1",
                "UPDATE t SET price = @one WHERE id = 2",
            ),
            {"1": {"price"}, "2": {"price"}},
        ),
        "two columns swap their values": _set("plain = 'zwei', latin = 'two'", "plain latin", 2),
        "a boundary shifts between two fields": _set("plain = 'on', general = 'eone'", "plain general"),
        "a boundary shifts at the end": _set("long_text = NULL, last = 'longx'", "long_text last"),
        "NULL to nothing": _set("plain = ''", "plain", 3),
        "nothing to NULL": _set("plain = NULL", "plain", 4),
        "NULL moves to the next column": _set("plain = NULL, general = ''", "plain", 4),
        "trailing space": _set("plain = 'one '", "plain"),
        "trailing space under a general collation": _set("general = 'one '", "general"),
        "case": _set("general = 'One'", "general"),
        "another accent": _set("general = 'öne'", "general"),
        "mojibake": _set("plain = 'Ã©'", "plain"),
        "one bit of a latin1 text": _set("latin = 'è'", "latin"),
        "one bit of a utf16 text": _set("wide = 'è'", "wide"),
        "a CHAR": _set("fixed = 'One'", "fixed"),
        "one bit of a VARBINARY": _set("raw = x'00fe'", "raw"),
        "trailing zero byte": _set("raw = x'00ff00'", "raw"),
        "one bit of a BINARY": _set("raw_fixed = x'0100000000000001'", "raw_fixed"),
        "one bit of a BLOB": _set("blob_ = x'00ff26'", "blob_"),
        "one bit of a LONGBLOB": _set("long_blob = x'01ff'", "long_blob"),
        "LONGBLOB to NULL": _set("long_blob = NULL", "long_blob", 4),
        "a letter of a LONGTEXT": _set("long_text = 'Long'", "long_text"),
        "an integer": _set("unsigned_int = 4294967294", "unsigned_int"),
        "NULL to zero": _set("unsigned_int = 0", "unsigned_int", 3),
        "the lowest bit of a BIGINT": _set("big = -9223372036854775807", "big"),
        "the lowest bit of an unsigned BIGINT": _set("huge = 18446744073709551614", "huge"),
        "BIGINT NULL to zero": _set("big = 0", "big", 3),
        "a generated column": _set("tiny = 3", "tiny twice"),
        "a year": _set("a_year = 2023", "a_year"),
        "a year from NULL": _set("a_year = 0", "a_year", 3),
        "a cent": _set("price = 1.11", "price"),
        "DECIMAL NULL to zero": _set("price = 0", "price", 3),
        "the last digit of a DECIMAL": _set("exact = exact + 0.0000000001", "exact"),
        "the seventh digit of a FLOAT": _set("small = 1234567.75", "small"),
        "the last bit of a FLOAT": _set("small_fixed = 1234.568", "small_fixed"),
        "the last bit of a DOUBLE": _set("large = 0.3", "large"),
        "the last bit of a DOUBLE that is not NULL": _set("sure = 2.3000000000000003", "sure"),
        "DOUBLE NULL to zero": _set("large = 0", "large", 3),
        "a day": _set("day = '2024-01-02'", "day"),
        "no day to NULL": _set("day = NULL", "day", 4),
        "a second": _set("at = '2024-01-01 00:00:01'", "at"),
        "a microsecond": _set("fine = '2024-01-01 00:00:00.000002'", "fine"),
        "a second of a TIMESTAMP": _set("stamp = '2024-01-01 00:00:02'", "stamp"),
        "TIMESTAMP zero to NULL": _set("stamp = NULL", "stamp", 4),
        "a microsecond of a TIMESTAMP": _set("fine_stamp = '2024-01-01 00:00:01.000002'", "fine_stamp"),
        "a millisecond of a TIME": _set("span = '-01:00:00.501'", "span"),
        "the sign of a TIME": _set("span = '01:00:00.5'", "span"),
        "one bit": _set("bits = 0xfffffffffffffffe", "bits"),
        "the sign bit": _set("bits = 0x7fffffffffffffff", "bits"),
        "BIT NULL to zero": _set("few = 0", "few", 3),
        "an ENUM": _set("choice = 'b'", "choice"),
        "an ENUM that was not allowed": _set("choice = 0", "choice", 4),
        "a SET": _set("choices = 'a'", "choices"),
        "SET NULL to none": _set("choices = ''", "choices", 3),
        "JSON: a number becomes a text": _set("""json = '{"a": [1, 2.5, "x"], "b": "1"}'""", "json"),
        # Straight away, the server takes them for equal and changes nothing.
        "JSON: an integer becomes a float": _set(
            """json = NULL WHERE id = 1; UPDATE t SET json = '{"a": [1.0, 2.5, "x"]}'""", "json"
        ),
        "JSON: null to NULL": _set("json = NULL", "json", 4),
        "a coordinate": _set("place = ST_GeomFromText('POINT(1 2.0000000000000004)')", "place"),
        "a reference system": _set("place = ST_GeomFromText('POINT(1 2)', 4326)", "place"),
        "GEOMETRY to NULL": _set("place = NULL", "place"),
        "an INVISIBLE column": _set("seen_by = 2", "seen_by"),
    }
    changes: Mapping[str, Change] = {**types, **mysql_alone}
    equals: ClassVar[Mapping[str, Act]] = {
        "the table rebuilt": _do("ALTER TABLE t FORCE"),
        "to and fro": _do("UPDATE t SET tiny = 9 WHERE id = 1", "UPDATE t SET tiny = 1 WHERE id = 1"),
    }
    schema_changes: ClassVar[Mapping[str, Act]] = {
        name: _do(statement) for name, statement in DAMAGE.items() if name != "a database dropped"
    }
    shapes: ClassVar[Mapping[str, Sizes]] = {
        name: "about" if "half" in key else "least" for name, key in SHAPES.items()
    }
    ways = ways("Access denied")
    attempts: ClassVar[Mapping[str, tuple[Act, str]]] = {
        "insert": (
            lambda s: rows(s.as_reader, f"INSERT INTO {READABLE}.many VALUES (1)"),  # noqa: S608 - a constant
            "denied",
        ),
    }
    garbled: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ('{"gone": "1"}', '{"tiny": "1"}', '{"id": "1 OR 1"}', "5", "{}", "not JSON"),
        "the table's key was altered",
    )
    gone = r"expected table scratch_first[.]gone, observed no table"
    nothing = (
        {"databases": ("imagedb_gone",)},
        "expected database imagedb_gone, observed no database of that name",
    )
    excluded = ("plain", "general")
    hidden, shown = "trailing space", "a cent"
    running: MysqlServer
    connection: Connection[Cursor]
    as_reader: Connection[Cursor]

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.full, self.empty = TABLE, "scratch_first.an odd`name; %s ü"
        self.absent, self.many = "scratch_first.gone", "scratch_first.many"
        self.keys = frozenset("1234")
        self.counts = {self.empty: 0, self.many: MANY, self.full: 4}
        self.asked = (self.many, 1000)

    def fill(self) -> None:
        opened = self.opened
        self._start()
        self.server = "MySQL " if self.running.flavour == "mysql" else "MariaDB"
        if self.kind == "stack" and self.running.flavour != "mysql":
            self.changes = self.types  # the others are of types that this server does not have
        endpoint = self.running.endpoint
        self.profile = self.running.profile.model_copy(
            update={"address": Address(host=endpoint.host, port=endpoint.port)}
        )
        self.connection = opened.enter_context(prepared(self.running))
        self.sql("CREATE TABLE many (id int PRIMARY KEY)")
        with closing(self.connection.cursor()) as cursor:
            cursor.executemany("INSERT INTO many VALUES (%s)", [(number,) for number in range(MANY)])
        self.sql("CREATE TABLE `an odd``name; %s ü` (number int)")
        self.sql("CREATE VIEW shown AS SELECT * FROM many")
        fill(self.running)
        stored = cast("MysqlProfile", self.given.target.stores["mysql"])
        operator = opened.enter_context(
            closing(MysqlClient(Reach("mysql", endpoint, stored.operator, 60)).connect())
        )
        rows(operator, f"CREATE DATABASE IF NOT EXISTS {READABLE}")
        opened.callback(self.running.root, f"DROP DATABASE IF EXISTS {READABLE}")
        rows(operator, f"CREATE TABLE IF NOT EXISTS {READABLE}.many (number int)")
        self.as_reader = opened.enter_context(
            closing(MysqlClient(Reach("mysql", endpoint, stored.reader, 60)).connect())
        )

    def mend(self) -> None:
        self.connection.select_db("scratch_first")
        for statement in ("DELETE FROM t", ROWS, OWN[self.running.flavour], "DROP TABLE IF EXISTS shape"):
            self.sql(statement)

    def shaped(self, shape: str) -> str:
        self.sql("DROP TABLE IF EXISTS shape")
        self.sql(f"CREATE TABLE shape ({SHAPES[shape]}, note varchar(9) NOT NULL DEFAULT '')")
        self._insert(shape, _rows(shape))
        return "scratch_first.shape"

    def stir(self, shape: str) -> tuple[set[str], set[str]]:
        later = LATER.get(shape, (5, 1000) if "unsigned" in shape else (-5, 5, 1000))
        self._insert(shape, later)
        self.sql("DELETE FROM shape WHERE id = %s", [_rows(shape)[20]])
        return ({"5"}, {"1000"}) if shape in ("int", "unsigned bigint") else (set(), set())

    def _insert(self, shape: str, values: Sequence[object]) -> None:
        """Insert rows of these ids; what else the key has is made of the id, several rows to one."""
        others = [name for name in ("half", "part", "f") if f", {name} " in SHAPES[shape]]
        derived = {"half": "%s DIV 7", "part": "%s DIV 3", "f": "%s / 3"}
        names = ", ".join(["id", *others])
        places = ", ".join(["%s", *(derived[name] for name in others)])
        with closing(self.connection.cursor()) as cursor:
            cursor.executemany(
                f"INSERT INTO shape ({names}) VALUES ({places})",  # noqa: S608 - constants
                [[value] * (1 + len(others)) for value in values],
            )

    def define(self) -> None:
        self.running.root(CONTENT)
        self.defined = tuple(
            f"scratch_first.{name}" for name in ("parent", "child", "measured", "od`d; näme%s")
        )

    def undefine(self) -> None:
        self.connection.select_db("scratch_first")
        for statement in UNDEFINE:
            self.sql(statement)

    def spoil(self) -> None:
        for statement in (
            *(DAMAGE[name] for name in ("rows deleted", "a view dropped", "a table renamed")),
            "DELETE FROM scratch_first.t",
            "INSERT INTO scratch_first.parent (name) VALUES ('later')",
        ):
            self.sql(statement)

    def exclude(self, fields: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        return {"scratch_first.*": tuple(fields)}

    def refused(self) -> Mapping[str, Any]:
        return {"reader": Account(user=OPERATOR, password=SecretStr(f"{SECRET} of another"))}

    def keeper(self) -> StoreKeeper:
        return open_keeper(self.store, self.altered(), self.given.engine, self.running.control, 60)

    def clear(self) -> None:
        self.leave()

    def sql(self, statement: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """Run a statement as the operator of the scratch databases."""
        return rows(self.connection, statement, values)

    def _start(self) -> None:
        given = self.given
        folder = given.new_folder(self.kind)
        server = running_server(self.kind, given.stack, given.target, given.engine, given.control, folder)
        self.running = self.opened.enter_context(server)

    # How it is kept.

    readable: ClassVar[Mapping[str, Mapping[str, object]]] = {
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
    undigested = ("plain", "json", "price")
    unexported = "scratch_first.absent"
    sizes = True

    rounds: ClassVar[Mapping[str, Mapping[str, Act]]] = {
        "rows and definitions": {
            name: _do(*statements.split(";"))
            for name, statements in DAMAGE.items()
            if name != "a database dropped"
        },
    }
    notes = frozenset({"dropped scratch_first.late, which came after the backup"})
    words = ("--single-transaction",)
    kills = (0.1, 0.5, 0.9)
    strangers: ClassVar[Mapping[str, Mapping[str, object]]] = {"databases": {"databases": ("scratch_first",)}}
    drops = ("a database", "everything")
    refusal = "no database of that name"
    programs = True
    disturbed = r"another definition of scratch_first\.child"
    overtaken = r"1 rows of scratch_first\.child instead of 2"

    def settle(self) -> None:
        self._start()
        self.take(self.running.profile, self.running.endpoint, self.running.control)
        reach = Reach("mysql", self.running.endpoint, self.running.profile.operator, 60)
        self.connection = self.opened.enter_context(closing(MysqlClient(reach).connect()))
        self.sql("SET SESSION time_zone = '+00:00', sql_mode = ''")
        self.sql(f"DROP DATABASE IF EXISTS {OUTSIDE}")
        self.sql(f"CREATE DATABASE {OUTSIDE}")
        self.opened.callback(self.sql, f"DROP DATABASE {OUTSIDE}")
        self.sql(f"CREATE TABLE {OUTSIDE}.t AS SELECT 1 AS id")

    def wipe(self) -> None:
        for database in DATABASES:
            self.sql(f"DROP DATABASE IF EXISTS {database}")
            self.sql(f"CREATE DATABASE {database}")
        self.connection.select_db(DATABASES[0])

    # The export.

    def _types(self) -> Exported:
        fill(self.running)

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
        self.running.root(AWKWARD, "scratch_first")
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

    def populate(self, kind: str = WHOLE) -> Mapping[str, int]:
        self.wipe()
        self.running.root(CONTENT)
        return FILLED

    def observe(self) -> object:
        """Return the answers to `QUERIES`; one that cannot be answered counts as such."""
        answers: dict[str, object] = {}
        reach = Reach("mysql", self.running.endpoint, self.running.profile.operator, 60)
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

    def unlisted(self) -> object:
        return self.sql(f"SHOW TABLES FROM {OUTSIDE}"), self.sql(f"CHECKSUM TABLE {OUTSIDE}.t")

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
    """A MariaDB of its own."""

    kind = "mariadb"
    variant = True
    changes: Mapping[str, Change] = {
        **Mysql.types,
        "one digit of a UUID": _set("who = '123e4567-e89b-12d3-a456-426614174001'", "who"),
        "an address": _set("origin = '::2'", "origin"),
        "UUID to NULL": _set("who = NULL", "who"),
    }
