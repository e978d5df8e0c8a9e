"""MySQL and MariaDB, export: whole rows, as statements for their own client."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from rollproof.collection import Json
from rollproof.stores.contract import ExportedRecord, Pace, Selection, Wanted
from rollproof.stores.mysql.connection import rows, server
from rollproof.stores.mysql.content import Content
from rollproof.stores.mysql.rows import RowWriter, TooLong

# Up to so many wanted rows of a part are selected by the server; with more, the part is read whole.
TOLD = 1000
_UNIQUE = (
    "SELECT COUNT(*) FROM information_schema.statistics"
    " WHERE non_unique = 0 AND table_schema = %s AND table_name = %s"
)


class Export(Content):
    """The export of a MySQL or MariaDB server. See `RecordExport`.

    It reads as the reader, like the digests that select the records: that account sees every row, and cannot
    change any. Exported rows are replayed as the operator.

    Identical rows are each exported.
    """

    def how_to_replay(self, collection: str) -> str:
        """Return the client's command, which asks for the password on the terminal."""
        with self._connected() as connection:
            flavour, _ = server(connection)
        endpoint = self._reach.endpoint
        tls = [f"--ssl-ca={endpoint.ca}"] if endpoint.ca else []
        return shlex.join(
            [
                flavour,  # each names its client after itself
                f"--host={endpoint.host}",
                f"--port={endpoint.port}",
                *tls,
                f"--user={self._profile.operator.user}",
                "--password",
                "--default-character-set=utf8mb4",
                "--max-allowed-packet=1G",  # longer lines are not read
                collection.partition(".")[0],
            ]
        )

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted rows, including the columns that digests leave out."""
        collection = selection.collection
        with self._connected() as connection:
            table = self._table(connection, collection)
            writer = RowWriter(
                collection, list(table.columns.values()), unique=_has_unique_index(connection, collection)
            )
            for part, records in selection.wanted.items():
                found = self._rows(
                    connection,
                    table,
                    selection.division,
                    part,
                    pace,
                    writer.selected,
                    where=_among(table.hash, records),
                    block=1,  # a row may be of any size
                )
                with closing(found):
                    for key, value, values in found:
                        if (key, value) in records:
                            yield ExportedRecord(key, value, *self._written(writer, collection, values))

    def _written(self, writer: RowWriter, collection: str, values: Sequence[Any]) -> tuple[Json, str]:
        try:
            return writer.write(values)
        except TooLong as column:
            raise self._reach.failed(
                f"one of column {column} that is longer than max_allowed_packet",
                expected=f"whole values of {collection}",
                hint="raise max_allowed_packet of the server",
            ) from None


def _has_unique_index(connection: Connection[Cursor], collection: str) -> bool:
    database, _, table = collection.partition(".")
    ((count,),) = rows(connection, _UNIQUE, [database, table])
    return bool(count)


def _among(hashed: str, records: Wanted) -> str:
    if len(records) > TOLD:
        return "TRUE"
    return f"{hashed} IN ({', '.join(str(value) for _, value in records) or 'NULL'})"
