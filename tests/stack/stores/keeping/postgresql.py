"""PostgreSQL as a subject of the contract: every type, and definitions that are hard to give back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import ClassVar, cast

import pytest

from rollproof.contract.reading import whole
from rollproof.errors import ActionFailed
from rollproof.stores.contract import ExportedRecord
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.postgresql import schema
from rollproof.stores.postgresql.client import MAINTENANCE, rows
from rollproof.stores.postgresql.schema import LARGE_OBJECTS
from tests.stack.postgresql_content import CONTENT, DEFINITIONS, FILLED, RECORDS, ROWS, TABLE, TYPES
from tests.stack.postgresql_server import DATABASE, postgresql_server
from tests.stack.stores.keeping.subject import WHOLE, Bench, Chosen, Damage, Exported, Subject

OTHER = "scratch_other"
AWKWARD = r"""
CREATE TABLE "o""d; n'äme%s" ("a""b" int GENERATED ALWAYS AS IDENTITY, "ü; --%s" text, b bytea,
  g int GENERATED ALWAYS AS ("a""b" + 1) STORED, PRIMARY KEY ("a""b"));
INSERT INTO "o""d; n'äme%s" ("ü; --%s", b) VALUES (E'a\nb\r\n\\''"`;--%s é', '\x000a0d1a27225c'), ('\n', ''),
  ('NULL', NULL), (NULL, '\x')
"""


def _done(statements: str) -> Damage:
    """Return the damage that `statements` do."""
    return lambda subject: subject.run(statements)


class Postgresql(Subject):
    """A server of its own."""

    shown: ClassVar[Mapping[str, Mapping[str, object]]] = {
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
    exclude = ("plain", "jsonb", "price")
    absent = "public.absent"
    rounds: ClassVar[Mapping[str, Mapping[str, Damage]]] = {
        "rows and definitions": {name: _done(one) for name, one in {**RECORDS, **DEFINITIONS}.items()},
    }
    notes = frozenset({"dropped public.late, which came after the backup"})
    words = ("pg_dump",)
    kills = (0.1, 0.5, 0.9)
    strangers: ClassVar[Mapping[str, Mapping[str, object]]] = {"databases": {"databases": (OTHER,)}}
    gone = "does not exist"
    programs = True
    disturbed = r"another definition of public\.child"
    overtaken = r"1 rows of public\.child instead of 2"

    def __init__(self, bench: Bench, opened: ExitStack) -> None:
        folder = bench.new_folder("postgresql")
        self.server = opened.enter_context(postgresql_server(bench.stack, folder))
        self.settle("postgresql", self.server.profile, self.server.endpoint, self.server.control)
        self.server.do(f"CREATE DATABASE {OTHER}", MAINTENANCE)
        self.server.do("CREATE TABLE t AS SELECT 1 AS id", OTHER)

    def run(self, statements: str) -> None:
        """Run statements as the operator, on a connection of their own: a restore ends all others."""
        self.server.do(statements)

    def clear(self) -> None:
        self.server.prepare()

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
        return Exported(TABLE, change, exact=partial(self.asked, "SELECT * FROM child"))

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
            with self.server.connect() as session, session.transaction(force_rollback=True):
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

    def asked(self, query: str, database: str = DATABASE) -> list[tuple[object, ...]]:
        with self.server.connect(database) as session:
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

    def fill(self, kind: str = WHOLE) -> Mapping[str, int]:
        self.clear()
        self.run(CONTENT)
        return FILLED

    def observe(self) -> object:
        """Return a dump as text, with the settings of the database, and what no dump has of extensions."""
        command = ["pg_dump", "--create", "--username=operator", f"--dbname={DATABASE}"]
        try:
            dump = self.server.control.run("postgresql", command, deadline=60)
        except ActionFailed as failure:
            if "does not exist" not in str(failure):
                raise
            return "no database"
        # A key that is another one for each dump.
        lines = [line for line in dump.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]
        return lines, self.asked(
            "SELECT extname, extversion, extowner::regrole::text FROM pg_extension ORDER BY 1"
        )

    def beside(self) -> object:
        return self.asked("SELECT * FROM t", OTHER), self.asked("SELECT rolname FROM pg_roles", OTHER)

    def add(self) -> None:
        self.run("CREATE TABLE late (id int)")

    def killed(self, keeper: StoreKeeper, part: float, patch: pytest.MonkeyPatch) -> None:
        """Let the client die after it has read a part of the dump."""
        self.watched.die(part, patch, "--create")

    def drop(self, what: str) -> Mapping[str, int]:
        self.server.do(f"DROP DATABASE {DATABASE} WITH (FORCE)", MAINTENANCE)
        return {}

    def step(self, keeper: StoreKeeper) -> tuple[object, str]:
        return self.watched, "run"

    def reading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        # The first program has the snapshot, in which no table can be altered; the second one reads the dump.
        changes = iter(("SELECT 1", "ALTER TABLE child ADD late int"))
        return self.watched, "run", lambda: self.run(next(changes))

    def loading(self, keeper: StoreKeeper) -> tuple[object, str, Callable[[], object]]:
        return schema, "read_schemas", partial(self.run, "DELETE FROM child WHERE id = 1")
