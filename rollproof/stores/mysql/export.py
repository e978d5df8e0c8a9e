"""MySQL and MariaDB, export: whole rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from rollproof.collection import Json
from rollproof.stores.contract import ExportedRecord, Pace, Selection, Wanted
from rollproof.stores.mysql.content import Content
from rollproof.stores.mysql.rows import RowReader, TooLong

# Up to so many wanted rows of a part are selected by the server; with more, the part is read whole.
TOLD = 1000


class Export(Content):
    """The export of a MySQL or MariaDB server. See `RecordExport`.

    It reads as the reader, like the digests that select the records: that account sees every row, and cannot
    change any. Exported rows are replayed as the operator.

    Identical rows are each exported.
    """

    def export(self, selection: Selection, folder: Path, pace: Pace) -> Iterator[ExportedRecord]:
        """Yield the wanted rows, including the columns that digests leave out."""
        collection = selection.collection
        with self._connected() as connection:
            table = self._table(connection, collection)
            reader = RowReader(list(table.columns.values()))
            for part, records in selection.wanted.items():
                found = self._rows(
                    connection,
                    table,
                    selection.division,
                    part,
                    pace,
                    reader.selected,
                    where=_among(table.hash, records),
                    block=1,  # a row may be of any size
                )
                with closing(found):
                    for key, value, values in found:
                        if (key, value) in records:
                            yield ExportedRecord(key, value, *self._read(reader, collection, values))

    def _read(self, reader: RowReader, collection: str, values: Sequence[Any]) -> tuple[Json, Json]:
        try:
            return reader.read(values)
        except TooLong as column:
            raise self._reach.failed(
                f"one of column {column} that is longer than max_allowed_packet",
                expected=f"whole values of {collection}",
                hint="raise max_allowed_packet of the server",
            ) from None


def _among(hashed: str, records: Wanted) -> str:
    if len(records) > TOLD:
        return "TRUE"
    return f"{hashed} IN ({', '.join(str(value) for _, value in records) or 'NULL'})"
