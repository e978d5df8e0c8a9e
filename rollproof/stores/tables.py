"""The reader of a database of tables, as MySQL and PostgreSQL are read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Protocol

from rollproof.collection import Json
from rollproof.errors import Unverifiable
from rollproof.profile.application_profile import is_of_django
from rollproof.stores.client import Idle
from rollproof.stores.contract import ExportedRecord, Pace, QueryAnswer, RecordHash, Selection, Wanted
from rollproof.stores.reach import Countdown
from rollproof.stores.reader import Reader

# Rows that `ask` reads at most: enough to touch real data, few enough for a large table.
ASKED_ROWS = 1000
# The rows that `records` holds at a time.
BLOCK = 5_000
# Up to so many wanted rows of a part are selected by the server; with more, the part is read whole.
TOLD = 1000
Rows = Generator[tuple[str, int, tuple[Any, ...]]]
"""The key, the hash and the selected values of each row."""
Schemas = dict[str, dict[str, Json]]
"""Definitions of objects, by name."""


class Table(Protocol):
    """A table prepared for reading."""

    @property
    def hash(self) -> str:
        """The expression of a row's hash."""

    @property
    def hashed(self) -> Sequence[str]:
        """The names of the columns that are in it."""

    @property
    def field_hashes(self) -> Sequence[str]:
        """The expressions of these columns' own hashes."""


class TableReader(Reader):
    """Reads the tables of a database, which the server hashes. Identical rows are each exported."""

    parts_alone: ClassVar[bool] = True
    whole_rows: ClassVar[int] = 1
    """Whole rows, which may be of any size, that are held at a time."""
    _idle: Idle[Any]

    def close(self) -> None:
        """Close the idle connections."""
        self._idle.close()

    @abstractmethod
    def _tables(self, session: Any) -> list[str]:  # noqa: ANN401 - the driver's
        """Return the names of the tables, sorted."""

    @abstractmethod
    def _count(self, session: Any, names: Sequence[str]) -> dict[str, int]:  # noqa: ANN401
        """Return the exact numbers of rows of tables, all as of one moment."""

    @abstractmethod
    def _few(self, session: Any, name: str) -> int:  # noqa: ANN401
        """Return the number of rows of a table, of which up to `ASKED_ROWS` are read."""

    @abstractmethod
    def _server(self, session: Any) -> str:  # noqa: ANN401
        """Return the server's name and version."""

    @abstractmethod
    def _table(self, session: Any, collection: str) -> Any:  # noqa: ANN401 - a `Table`
        """Prepare a table for reading; its definition is read each time, as it may have been altered."""

    @abstractmethod
    def _step(self, session: Any, table: Any, first: str, size: int) -> str:  # noqa: ANN401
        """Return the bound `size` rows after the bound `first`, or "" if there is none."""

    @abstractmethod
    def _rows(
        self,
        session: Any,  # noqa: ANN401
        table: Any,  # noqa: ANN401
        division: Sequence[str],
        part: int,
        pace: Pace,
        selected: Sequence[str],
        *,
        where: str = "TRUE",
        block: int = BLOCK,
    ) -> Rows:
        """Yield the rows of a part; memory holds `block` of them at a time."""

    @abstractmethod
    def _whole(self, table: Any) -> tuple[Sequence[str], Callable[[Sequence[Any]], Json]]:  # noqa: ANN401
        """Return what to select of a whole row, and what makes its content of that."""

    def ask(self) -> QueryAnswer:
        """Count up to `ASKED_ROWS` rows of the first table that holds any, or of the last."""
        with self._connected(self._reach.start()) as session:
            names = self._tables(session)
            if not names:
                raise self._reach.failed(
                    "no table",
                    expected=f"a table in {', '.join(self._profile.databases)}",
                    hint="the tables were dropped, or the account has no privilege on them",
                )
            for name in names:
                if records := self._few(session, name):
                    break
            return QueryAnswer(
                f"SELECT COUNT(*) of up to {ASKED_ROWS} rows", name, records, self._server(session)
            )

    def collections(self) -> Sequence[str]:
        """Return the tables, by the names of database or schema and table."""
        with self._connected() as session:
            return self._tables(session)

    def counts(self) -> Mapping[str, int]:
        """Return the number of rows of every table, all as of one moment."""
        with self._connected(self._reach.start()) as session:
            return self._count(session, self._tables(session))

    def count(self, collection: str) -> int:
        """Return the number of rows of one table."""
        with self._connected() as session:
            return self._count(session, [collection])[collection]

    def divide(self, collection: str, records: int) -> tuple[str, ...]:
        """Walk the key from bound to bound; a table without a usable key is one part."""
        bounds = [""]
        with self._connected() as session:
            table = self._table(session, collection)
            while bound := self._step(session, table, bounds[-1], records):
                bounds.append(bound)
        return tuple(bounds)

    def records(
        self, collection: str, division: Sequence[str], parts: Sequence[int], pace: Pace
    ) -> Iterator[tuple[int, RecordHash]]:
        """Yield each row with its fields' hashes, computed in the server."""
        with self._connected() as session:
            table: Table = self._table(session, collection)
            hashes, names = table.field_hashes, table.hashed
            for part in parts:
                with closing(self._rows(session, table, division, part, pace, hashes)) as found:
                    for key, value, fields in found:
                        yield part, RecordHash(key, value, dict(zip(names, map(int, fields), strict=True)))

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted rows, including the columns that digests leave out."""
        division = selection.division
        with self._connected() as session:
            table: Table = self._table(session, selection.collection)
            selected, content = self._whole(table)
            limits: dict[str, Any] = {"block": self.whole_rows}
            for part, wanted in selection.wanted.items():
                limits["where"] = _among(table.hash, wanted)
                with closing(self._rows(session, table, division, part, pace, selected, **limits)) as found:
                    for key, value, values in found:
                        if (key, value) in wanted:
                            yield ExportedRecord(key, value, content(values))

    @contextmanager
    def _connected(self, countdown: Countdown | None = None) -> Iterator[Any]:
        """Give a connection for one call; it is reused only if the block ends without an exception."""
        with self._idle.asked() as session:
            session.countdown = countdown
            yield session

    def _no_table(self, collection: str) -> Unverifiable:
        return self._reach.failed(
            "no table of that name",
            expected=f"table {collection}",
            hint=f"it was dropped or renamed, or {self._reach.account.user} has no privilege on it",
        )


def revision_columns(table: str) -> tuple[str, ...]:
    """Return the columns of a table of revisions whose values, joined by dots, are one."""
    return ("app", "name") if is_of_django(table) else ("version_num",)


def first_difference(kept: Schemas, observed: Schemas) -> str | None:
    """Return the first object that differs, in words, or None."""
    for name in sorted(kept.keys() | observed.keys()):
        if name not in observed:
            return f"no {name}"
        if name not in kept:
            return f"{name}, which was not there"
        if kept[name] != observed[name]:
            return f"another definition of {name}"
    return None


def _among(hashed: str, records: Wanted) -> str:
    if len(records) > TOLD:
        return "TRUE"
    return f"{hashed} IN ({', '.join(str(value) for _, value in records) or 'NULL'})"
