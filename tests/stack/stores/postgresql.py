"""PostgreSQL: a table with every type of column, and definitions that are hard to give back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from pydantic import SecretStr

from rollproof.contract.subject import whole
from rollproof.errors import ActionFailed
from rollproof.profile.sections import Account, Address
from rollproof.stores.contract import ExportedRecord
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.keepers import open_keeper
from rollproof.stores.postgresql import schema
from rollproof.stores.postgresql.client import MAINTENANCE, literal, rows
from rollproof.stores.postgresql.schema import LARGE_OBJECTS
from tests.stack.postgresql_content import (
    CONTENT,
    DEFINITIONS,
    FILLED,
    RECORDS,
    ROWS,
    STORED,
    TABLE,
    TYPES,
    UNDUMPED,
)
from tests.stack.postgresql_server import DATABASE, PostgresqlServer, postgresql_server
from tests.stack.scratch_stores import SECRET, WIDTH, scattered
from tests.stack.stores.subject import WHOLE, Act, Change, Chosen, Exported, Given, Sizes, Subject, ways

MANY = 30_000
NUMBERS = tuple(range(10, 60))
# In the order of texts, 100 is before 70.
TWO_LENGTHS = tuple(range(70, 120))
# In the order of one collation, of another, and of bytes.
WORDS = (*map(str, range(30)), *["a", "B", "c", "D", "Z", "é", "ß", "%", "'", "\\", "_x"], " y", "")
SHAPES: Mapping[str, tuple[str, tuple[object, ...], tuple[object, ...]]] = {
    "int": ("id int PRIMARY KEY", TWO_LENGTHS, (-5, 5, 1000)),
    "text by a collation": ('id text COLLATE "und-x-icu" PRIMARY KEY', WORDS, ("!", "\U0001f600", "bb")),
    "numeric": ("id numeric NOT NULL UNIQUE", TWO_LENGTHS, (-5, 5, "NaN")),
    "text by bytes": ('id text COLLATE "C" PRIMARY KEY', WORDS, ("!", "ÿ", "bb")),
    "uuid": (
        "id uuid PRIMARY KEY",
        tuple(f"{number:032x}" for number in NUMBERS),
        (f"{5:032x}", f"{1000:032x}"),
    ),
    "bytes": ("id bytea PRIMARY KEY", tuple(f"\\x{number:02x}" for number in NUMBERS), ("\\x00", "\\xff00")),
    "times": (
        "id timestamptz PRIMARY KEY",
        tuple(f"2024-01-01 00:00:{number:02}.000001+00" for number in NUMBERS),
        ("2023-01-01", "2024-01-01 00:00:30.5+00", "infinity"),
    ),
    "two columns": (
        "id int, half text DEFAULT 'a', PRIMARY KEY (half, id)",
        TWO_LENGTHS,
        (-5, 5, 1000),
    ),
    "falling": ("id int NOT NULL", TWO_LENGTHS, (-5, 5, 1000)),
}
# Most of the rows are written again while the index takes none: its definition and the rows stay the same.
UNINDEXED = """
SET allow_system_table_mods = on;
UPDATE pg_index SET indisready = false WHERE indexrelid = 'nearby'::regclass;
CREATE TABLE aside AS SELECT * FROM scattered WHERE id % 4 > 0;
DELETE FROM scattered WHERE id % 4 > 0;
INSERT INTO scattered SELECT * FROM aside;
UPDATE pg_index SET indisready = true WHERE indexrelid = 'nearby'::regclass;
DROP TABLE aside
"""


def _set(assignment: str, fields: str, row: int = 1) -> Change:
    return _do(f"UPDATE t SET {assignment} WHERE id = {row}"), {str(row): set(fields.split())}  # noqa: S608


def _do(*statements: str) -> Act:
    def act(subject: Postgresql) -> None:
        subject.run(";\n".join(statements))

    return act


OTHER = "scratch_other"
AWKWARD = r"""
CREATE TABLE "o""d; n'äme%s" ("a""b" int GENERATED ALWAYS AS IDENTITY, "ü; --%s" text, b bytea,
  g int GENERATED ALWAYS AS ("a""b" + 1) STORED, PRIMARY KEY ("a""b"));
INSERT INTO "o""d; n'äme%s" ("ü; --%s", b) VALUES (E'a\nb\r\n\\''"`;--%s é', '\x000a0d1a27225c'), ('\n', ''),
  ('NULL', NULL), (NULL, '\x')
"""


class Postgresql(Subject):
    """Rows of `t`, of a server of its own."""

    store = "postgresql"
    changes: Mapping[str, Change] = {
        "lost": (_do("DELETE FROM t WHERE id = 2"), {"2": None}),
        "added": (_do("INSERT INTO t (id) VALUES (5)"), {"5": None}),
        "a row under another key": (_do("UPDATE t SET id = 9 WHERE id = 1"), {"1": None, "9": None}),
        "two rows swap a value": (
            _do("UPDATE t SET plain = CASE id WHEN 1 THEN 'two' ELSE 'one' END WHERE id IN (1, 2)"),
            {"1": {"plain"}, "2": {"plain"}},
        ),
        "two columns swap their values": _set("plain = folded, folded = plain", "plain folded", 2),
        "a boundary shifts between two fields": _set("plain = 'on', limited = 'eone'", "plain limited"),
        "NULL to nothing": _set("plain = ''", "plain", 3),
        "nothing to NULL": _set("plain = NULL", "plain", 4),
        "NULL moves to the next column": _set("plain = NULL, limited = NULL", "plain limited", 4),
        "a comma and quotation marks": _set("plain = 'one,\"', limited = '\"\",'", "plain limited"),
        "trailing space": _set("plain = 'one '", "plain"),
        "case": _set("folded = 'One'", "folded"),
        "another form of a letter": _set("folded = U&'o\\0308ne'", "folded"),
        "one bit of a BYTEA": _set("raw = '\\x00fe'", "raw"),
        "a trailing zero byte": _set("raw = '\\x00ff00'", "raw"),
        "a CHAR": _set("fixed = 'One'", "fixed"),
        "a SMALLINT and what is made of it": _set("tiny = 3", "tiny twice"),
        "the lowest bit of a BIGINT": _set("big = -9223372036854775807", "big"),
        "a cent": _set("price = 1.11", "price"),
        "NaN to NULL": _set("exact = NULL", "exact"),
        "NaN to a number": _set("exact = 1e40", "exact"),
        "the last digit of a NUMERIC": _set("exact = 0.00000000000000000000000000000000001", "exact", 4),
        "the scale of a NUMERIC": _set("exact = 0.0", "exact", 4),
        "the last bit of a REAL": _set("small = 0.10000001", "small"),
        "the last bit of a DOUBLE": _set("large = 0.3", "large"),
        "the sign of a zero": _set("large = '-0'", "large", 4),
        "infinity to NaN": _set("large = 'NaN'", "large", 2),
        "a boolean": _set("flag = false", "flag"),
        "a day": _set("day = '2024-01-02'", "day"),
        "a day before Christ": _set("day = '2024-01-01 BC'", "day"),
        "a microsecond of a TIMESTAMP": _set("at = at + interval '1 us'", "at"),
        "a microsecond of a TIMESTAMPTZ": _set("stamp = stamp + interval '1 us'", "stamp"),
        "a TIMESTAMPTZ of another zone": _set("stamp = '2024-01-01 00:00:00.000001+01'", "stamp"),
        "a TIME": _set("clock = '00:00:00.500001'", "clock"),
        "the zone of a TIMETZ": _set("clock_tz = '01:00:00+02'", "clock_tz"),
        "an INTERVAL of as many days": _set("span = '31 days 00:00:00.000001'", "span"),
        "a UUID": _set("who = '123e4567-e89b-12d3-a456-426614174001'", "who"),
        "JSON: spaces": _set("""json = '{"a": 1, "a": 2}'""", "json"),
        "JSON: null to NULL": _set("json = NULL", "json", 4),
        "JSONB: a number's scale": _set("""jsonb = '{"a": [1, 2.5, "x"]}'""", "jsonb"),
        "JSONB: a number becomes a text": _set("""jsonb = '{"a": ["1", 2.50, "x"]}'""", "jsonb"),
        "JSONB: null to NULL": _set("jsonb = NULL", "jsonb", 4),
        "an array's NULL": _set("numbers = '{1,3}'", "numbers"),
        "an array's first number": _set("numbers = '[0:2]={1,NULL,3}'", "numbers"),
        "an array without items to NULL": _set("numbers = NULL", "numbers", 4),
        "a text in an array": _set("texts = '{a,\"NULL\",NULL}'", "texts"),
        "an array's form": _set("grid = '{{1,2,3,4}}'", "grid"),
        "a range's bound": _set("during = '[2024-01-01,2024-01-02]'", "during"),
        "an empty range to NULL": _set("during = NULL", "during", 4),
        "a multirange": _set("many = '{[1,7)}'", "many"),
        "a bit": _set("bits = B'100'", "bits"),
        "a length of bits": _set("more_bits = B'10'", "more_bits"),
        "a coordinate": _set("place = '(1,2.0000000000000004)'", "place"),
        "an address": _set("net = '10.0.0.1/24'", "net"),
        "a hardware address": _set("card = '08:00:2b:01:02:04'", "card"),
        "money": _set("cash = '1.51'", "cash"),
        "an ENUM": _set("feeling = 'sad'", "feeling"),
        "a domain": _set("above = 2", "above"),
        "a composite": _set("both_ = '(1,)'", "both_"),
        "words": _set("words = 'a:2 b:2'", "words"),
        "XML": _set("markup = '<a>1 </a>'", "markup"),
        "the last bit of a VECTOR": _set("near = '[0.10000001,2,-0]'", "near"),
        "the sign of a VECTOR's zero": _set("near = '[0.1,2,0]'", "near"),
        "a VECTOR of zeros to NULL": _set("near = NULL", "near", 4),
        "a HALFVEC": _set("half = '[1,2.002]'", "half"),
        "a place in a SPARSEVEC": _set("few = '{1:0.5,4:-2}/5'", "few"),
        "a letter of a long value": _set("long = overlay(long placing 'L' from 199999)", "long"),
        "a long value's length": _set("long = long || ' '", "long"),
        "the last column": _set("last = 'X'", "last"),
    }
    equals: ClassVar[Mapping[str, Act]] = {
        "the table rebuilt": _do("VACUUM FULL t"),
        "to and fro": _do("UPDATE t SET tiny = 9 WHERE id = 1", "UPDATE t SET tiny = 1 WHERE id = 1"),
        "written backwards": _do(
            f"CREATE TABLE aside AS SELECT {STORED} FROM t",  # noqa: S608 - a constant
            "DELETE FROM t",
            f"INSERT INTO t ({STORED}) SELECT * FROM aside ORDER BY id DESC",  # noqa: S608
        ),
    }
    schema_changes: ClassVar[Mapping[str, Act]] = {
        name: _do(statement) for name, statement in {**UNDUMPED, **DEFINITIONS}.items()
    }
    vector_changes: ClassVar[Mapping[str, Act]] = {
        "vectors of other rows": _do("UPDATE t SET near = '[3,2,1]' WHERE id = 2"),
    }
    index_changes: ClassVar[Mapping[str, Act]] = {
        "an index of few links": lambda s: s.link("hnsw", "m = 2, ef_construction = 4"),
        "an index of many lists": lambda s: s.link("ivfflat", "lists = 200"),
        "rows beyond the index": lambda s: s.run(UNINDEXED),
    }
    position_changes: ClassVar[Mapping[str, Act]] = {
        "a sequence goes back": _do("SELECT setval('counter', 1)"),
    }
    shapes: ClassVar[Mapping[str, Sizes]] = {name: "least" for name in SHAPES if name != "falling"}
    ways = ways("password authentication failed")
    attempts: ClassVar[Mapping[str, tuple[Act, str]]] = {
        "insert": (lambda s: s.running.do("INSERT INTO many VALUES (-1)", reader=True), "permission denied"),
        "another table": (lambda s: s.running.do("CREATE TABLE x (a int)", reader=True), "permission denied"),
    }
    garbled: ClassVar[Mapping[str, str]] = {
        "5": "the table's key was altered",
        "[]": "the table's key was altered",
        '["1", "2"]': "the table's key was altered",
        "not JSON": "Expecting value",
        '["1 OR 1"]': "invalid input syntax",
    }
    gone = r"expected table public[.]gone, observed no table"
    nothing = ({"databases": ("scratch_gone",)}, 'database "scratch_gone" does not exist')
    excluded = ("plain", "folded")
    hidden, shown = "trailing space", "a cent"
    server = "PostgreSQL "
    running: PostgresqlServer

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.full, self.empty = TABLE, 'public.an odd"name; %s ü'
        self.absent, self.many = "public.gone", "public.many"
        self.indexed = "public.scattered"
        self.keys = frozenset("1234")
        self.counts = {self.empty: 0, self.many: MANY, self.full: 4}
        self.asked = (self.many, 1000)

    def fill(self) -> None:
        self._start()
        endpoint = self.running.endpoint
        address = Address(host=endpoint.host, port=endpoint.port)
        self.profile = self.running.profile.model_copy(update={"address": address})
        self.run(f"CREATE TABLE many AS SELECT generate_series(1, {MANY}) AS id")
        self.run("ALTER TABLE many ADD PRIMARY KEY (id)")
        self.run('CREATE TABLE "an odd""name; %s ü" (number int)')
        self.run(TYPES)
        self.run(ROWS)

    def run(self, statements: str, database: str = DATABASE) -> None:
        """Run statements as the operator, on a connection of their own: a restore ends all others."""
        self.running.do(statements, database)

    def mend(self) -> None:
        self.run("DROP TABLE IF EXISTS shape, aside;\nDELETE FROM t")
        self.run(ROWS)

    def repair(self) -> None:
        self.mend()
        self.run("SELECT setval('counter', 31)")

    def shaped(self, shape: str) -> str:
        columns, values, _ = SHAPES[shape]
        self.run(f"DROP TABLE IF EXISTS shape;\nCREATE TABLE shape ({columns}, note text DEFAULT '')")
        self._insert(values)
        return "public.shape"

    def stir(self, shape: str) -> tuple[set[str], set[str]]:
        _, values, later = SHAPES[shape]
        self._insert(later)
        self.run(f"DELETE FROM shape WHERE id::text = {literal(str(values[20]))}")  # noqa: S608
        return ({"5"}, {"1000"}) if shape == "int" else (set(), set())

    def _insert(self, values: Iterable[object]) -> None:
        rows = ", ".join(f"({literal(str(value))})" for value in values)
        self.run(f"INSERT INTO shape (id) VALUES {rows}")  # noqa: S608

    def index(self) -> None:
        values = ", ".join(f"({number}, '{vector}')" for number, vector in enumerate(scattered()))
        self.run(
            "DROP TABLE IF EXISTS scattered;\n"
            f"CREATE TABLE scattered (half text DEFAULT 'a', id int, at vector({WIDTH}));\n"
            "ALTER TABLE scattered ADD PRIMARY KEY (half, id);\n"
            f"INSERT INTO scattered (id, at) VALUES {values}"
        )
        self.link("hnsw", "m = 16")

    def link(self, kind: str, options: str) -> None:
        """Build the index of `indexed`, or build it again."""
        self.run(
            "DROP INDEX IF EXISTS nearby;\n"
            f"CREATE INDEX nearby ON scattered USING {kind} (at vector_l2_ops) WITH ({options})"
        )

    def define(self) -> None:
        self.run(CONTENT)
        self.defined = tuple(name for name in FILLED if name != "public.child")

    def undefine(self) -> None:
        self.run(
            "DROP PUBLICATION IF EXISTS news;\n"
            "DROP TABLE IF EXISTS child, other, measured, measured_else, embedded CASCADE;\n"
            "DROP TABLE IF EXISTS parent CASCADE;\nDROP SEQUENCE IF EXISTS counter;\n"
            "DROP FUNCTION IF EXISTS twin(int);\nDROP FUNCTION IF EXISTS watch() CASCADE;\n"
            'DROP SCHEMA IF EXISTS "second; näme", late CASCADE;\nDROP TYPE IF EXISTS colour;\n'
            "DROP DOMAIN IF EXISTS short;\nDROP EXTENSION IF EXISTS pg_trgm, hstore, citext;\n"
            "SELECT lo_unlink(oid) FROM pg_largeobject_metadata;\nALTER DATABASE scratch RESET ALL"
        )

    def spoil(self) -> None:
        for statement in (
            "DELETE FROM t",
            "DROP TABLE child",
            "SELECT setval('counter', 1)",
            "CREATE TABLE late ()",
        ):
            self.run(statement)

    def exclude(self, fields: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        return {"public.*": tuple(fields)}

    def refused(self) -> Mapping[str, Any]:
        return {"reader": Account(user="reader", password=SecretStr(f"{SECRET} of another"))}

    def keeper(self) -> StoreKeeper:
        return open_keeper(self.store, self.altered(), self.given.engine, self.running.control, 60)

    def clear(self) -> None:
        self.leave()

    def _start(self) -> None:
        folder = self.given.new_folder("postgresql")
        self.running = self.opened.enter_context(postgresql_server(self.given.stack, folder))

    # How it is kept.

    readable: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "1": {
            "id": "1",
            "big": str(-(2**63)),
            "price": "1.10",
            "exact": "NaN",
            "small": "0.1",
            "large": "0.30000000000000004",
            "flag": "true",
            "raw": "\\x00ff",
            "stamp": "2024-01-01 00:00:00.000001+00",
            "jsonb": '{"a": [1, 2.50, "x"]}',
            "texts": '{a,"",NULL}',
            "during": '["2024-01-01 00:00:00+00","2024-01-02 00:00:00+00")',
            "feeling": "ok",
        },
    }
    undigested = ("plain", "jsonb", "price")
    unexported = "public.absent"
    rounds: ClassVar[Mapping[str, Mapping[str, Act]]] = {
        "rows and definitions": {name: _do(one) for name, one in {**RECORDS, **DEFINITIONS}.items()},
    }
    notes = frozenset({"dropped public.late, which came after the backup"})
    words = ("pg_dump",)
    kills = (0.1, 0.5, 0.9)
    strangers: ClassVar[Mapping[str, Mapping[str, object]]] = {"databases": {"databases": (OTHER,)}}
    refusal = "does not exist"
    programs = True
    disturbed = r"another definition of public\.child"
    overtaken = r"1 rows of public\.child instead of 2"

    def settle(self) -> None:
        self._start()
        self.take(self.running.profile, self.running.endpoint, self.running.control)
        self.running.do(f"CREATE DATABASE {OTHER}", MAINTENANCE)
        self.running.do("CREATE TABLE t AS SELECT 1 AS id", OTHER)

    def wipe(self) -> None:
        self.running.prepare()

    # The export.

    def _types(self) -> Exported:
        self.run(TYPES)
        self.run(ROWS)

        def look(records: Sequence[ExportedRecord], _folder: Path) -> None:
            assert all("twice" not in cast("Mapping[str, object]", record.content) for record in records)

        return Exported(
            TABLE,
            partial(self.run, "DELETE FROM t WHERE id % 2 = 1;\nUPDATE t SET last = 'later'"),
            look=look,
        )

    def _awkward(self) -> Exported:
        self.run(AWKWARD)
        change = """DELETE FROM "o""d; n'äme%s" WHERE "a""b" = 1;\nUPDATE "o""d; n'äme%s" SET b = 'x'"""
        return Exported("public.o\"d; n'äme%s", partial(self.run, change))

    def _keyless(self) -> Exported:
        self.run(
            "CREATE TABLE t (a int, b text);\nINSERT INTO t VALUES (1, 'x'), (1, 'x'), (NULL, NULL), (2, 'y')"
        )
        return Exported(TABLE, partial(self.run, "DELETE FROM t"))

    def _referred_to(self) -> Exported:
        self.run(
            "CREATE TABLE t (id int PRIMARY KEY, note text);\n"
            "CREATE TABLE child (parent int REFERENCES t ON DELETE CASCADE);\n"
            "INSERT INTO t VALUES (1, 'x');\nINSERT INTO child VALUES (1)"
        )
        change = partial(self.run, "UPDATE t SET note = 'y'")
        return Exported(TABLE, change, exact=partial(self.answer, "SELECT * FROM child"))

    def _large_objects(self) -> Exported:
        self.run("SELECT lo_from_bytea(1000, ''), lo_from_bytea(1001, convert_to(repeat('ü', 9999), 'UTF8'))")
        self.run("ALTER LARGE OBJECT 1001 OWNER TO reader")
        change = "SELECT lo_unlink(1000);\nSELECT lo_put(1001, 9000, 'x')"
        return Exported(LARGE_OBJECTS, partial(self.run, change))

    def _numbered(self) -> Exported:
        self.run(
            "CREATE SEQUENCE apart INCREMENT 5;\n"
            "CREATE TABLE whole (id serial, always int GENERATED ALWAYS AS IDENTITY,"
            " other bigint DEFAULT nextval('apart'), note text) PARTITION BY LIST (note);\n"
            "CREATE TABLE t PARTITION OF whole DEFAULT;\n"
            "INSERT INTO whole (note) SELECT 'x' FROM generate_series(1, 5)"
        )

        def inserted() -> object:
            with self.running.connect() as session, session.transaction(force_rollback=True):
                return rows(session, "INSERT INTO public.whole (note) VALUES ('y') RETURNING *")

        change = partial(self.run, "TRUNCATE whole RESTART IDENTITY;\nALTER SEQUENCE apart RESTART")
        return Exported(TABLE, change, exact=inserted)

    exported: ClassVar[Mapping[str, Callable[[Postgresql], Exported]]] = {
        "every type": _types,
        "awkward values and names": _awkward,
        "rows without a key": _keyless,
        "rows that others refer to": _referred_to,
        "large objects": _large_objects,
        "numbers of sequences": _numbered,
    }

    def answer(self, query: str, database: str = DATABASE) -> list[tuple[object, ...]]:
        with self.running.connect(database) as session:
            session.execute("SET search_path = public")
            return rows(session, query)

    def choose(self) -> Chosen:
        self.run("CREATE TABLE t AS SELECT id, 'note' AS note FROM generate_series(0, 99) AS id")
        self.run("ALTER TABLE t ADD PRIMARY KEY (id)")
        spoil = (
            "DELETE FROM t WHERE id = 4;\nUPDATE t SET note = 'later' WHERE id = 5;\n"
            "UPDATE t SET id = 106 WHERE id = 6"
        )
        return Chosen(TABLE, ("3", "4", "5", "6", "77"), partial(self.run, spoil), ("3", "77"), size=20)

    def read(self) -> object:
        """Return the definitions, and each table's digest."""
        with self.place.content() as content:
            return content.schemas(), {name: whole(content, name) for name in content.collections()}

    # The keeper.

    def populate(self, kind: str = WHOLE) -> Mapping[str, int]:
        self.wipe()
        self.run(CONTENT)
        return FILLED

    def observe(self) -> object:
        """Return a dump as text, with the settings of the database, and what no dump has of extensions."""
        command = ["pg_dump", "--create", "--username=operator", f"--dbname={DATABASE}"]
        try:
            dump = self.running.control.run("postgresql", command, deadline=60)
        except ActionFailed as failure:
            if "does not exist" not in str(failure):
                raise
            return "no database"
        # A key that is another one for each dump.
        lines = [line for line in dump.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]
        return lines, self.answer(
            "SELECT extname, extversion, extowner::regrole::text FROM pg_extension ORDER BY 1"
        )

    def unlisted(self) -> object:
        return self.answer("SELECT * FROM t", OTHER), self.answer("SELECT rolname FROM pg_roles", OTHER)

    def add(self) -> None:
        self.run("CREATE TABLE late (id int)")

    def killed(self, keeper: StoreKeeper, part: float, patch: pytest.MonkeyPatch) -> None:
        """Let the client die after it has read a part of the dump."""
        self.watched.die(part, patch, "--create")

    def drop(self, what: str) -> Mapping[str, int]:
        self.running.do(f"DROP DATABASE {DATABASE} WITH (FORCE)", MAINTENANCE)
        return {}

    def step(self, keeper: StoreKeeper) -> tuple[object, str]:
        return self.watched, "run"

    def reading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        # The first program has the snapshot, in which no table can be altered; the second one reads the dump.
        changes = iter(("SELECT 1", "ALTER TABLE child ADD late int"))
        return self.watched, "run", lambda: self.run(next(changes))

    def loading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        return schema, "read_schemas", partial(self.run, "DELETE FROM child WHERE id = 1")
