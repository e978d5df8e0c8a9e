"""MongoDB's collections and views, with their options and indexes, as the server describes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import bson
from bson import json_util
from bson.datetime_ms import DatetimeMS
from bson.json_util import JSONMode, JSONOptions
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.database import Database

from rollproof.collection import Json
from rollproof.stores.mongodb.bson import LENIENT, RAW
from rollproof.stores.mongodb.client import Document

# Relaxed for readability: 1 and 1.0 differ, 32-bit and 64-bit integers do not.
_TEXT = JSONOptions(json_mode=JSONMode.RELAXED)
_CLUSTERED_KEY = "_id"
# Only once such an option was changed does the server say that it is as it was from the beginning.
_DEFAULTS = {"validationLevel": "strict", "validationAction": "error"}


Expiry = tuple[tuple[str, ...], float]
"""A document expires so many seconds after the earliest date at a path."""


def expires_at(document: RawBSONDocument, expiries: Sequence[Expiry]) -> float | None:
    """Return the expiry time of `document` in seconds since 1970, or None if it never expires."""
    if not expiries:
        return None
    decoded = bson.decode(document.raw, LENIENT)
    return min((date + seconds for path, seconds in expiries for date in _dates(decoded, path)), default=None)


def _dates(value: object, path: tuple[str, ...]) -> Iterator[float]:
    if isinstance(value, list):
        for item in value:
            yield from _dates(item, path)
    elif not path:
        if isinstance(value, DatetimeMS):
            yield int(value) / 1000
    elif isinstance(value, dict):
        yield from _dates(value.get(path[0]), path[1:])


@dataclass(frozen=True)
class Description:
    """The server's description of a collection, time series or view, of which it keeps each byte.

    The indexes are sorted by name. The collation in it, of a collection or an index, has the version by which
    the server orders texts.
    """

    database: str
    name: str
    kind: str
    options: RawBSONDocument
    indexes: list[RawBSONDocument]

    @property
    def full_name(self) -> str:
        """Database and name, as `Reader.counts` has them."""
        return f"{self.database}.{self.name}"

    @property
    def time_field(self) -> str | None:
        """The field that orders a time series; other kinds have None."""
        return str(self.options["timeseries"]["timeField"]) if self.kind == "timeseries" else None

    @property
    def capped(self) -> bool:
        """Whether the server drops its oldest documents for new ones."""
        return bool(self.options.get("capped"))

    @property
    def expires(self) -> bool:
        """Whether the server may remove documents by itself."""
        return any("expireAfterSeconds" in described for described in (self.options, *self.indexes))

    @property
    def expiries(self) -> list[Expiry]:
        """The rules by which documents expire, except partial indexes: their documents are unknown."""
        found = [
            (tuple(next(iter(index["key"])).split(".")), float(index["expireAfterSeconds"]))
            for index in self.indexes
            if "expireAfterSeconds" in index and "partialFilterExpression" not in index
        ]
        if "expireAfterSeconds" in self.options:
            field = self.time_field or _CLUSTERED_KEY
            found.append(((field,), float(self.options["expireAfterSeconds"])))
        return [expiry for expiry in found if expiry[1] >= 0]  # excludes NaN

    def schema(self) -> Json:
        """Return the definition to compare, as texts: the order of keys matters in indexes and views."""
        found: dict[str, Json] = {"kind": self.kind, "options": _texts(self.options)}
        if self.kind != "view":
            found["indexes"] = {str(index["name"]): _texts(index) for index in self.indexes}
        return found


def collections(client: MongoClient[Document], databases: Iterable[str]) -> list[str]:
    """Return the names of all collections with data as ``database.collection``, sorted."""
    found = [(name, entry) for name in sorted(databases) for entry in _entries(client, name)]
    return [f"{name}.{entry['name']}" for name, entry in found if entry["type"] != "view"]


def descriptions(client: MongoClient[Document], databases: Iterable[str]) -> Iterator[Description]:
    """Yield the descriptions of all collections with data, and of all views, sorted by database and name."""
    for database in sorted(databases):
        for entry in _entries(client, database):
            yield _described(client, database, entry)


def description(client: MongoClient[Document], collection: str) -> Description | None:
    """Return the description of ``database.collection``, or None if it does not exist."""
    database, _, name = collection.partition(".")
    for entry in _entries(client, database):
        if entry["name"] == name and entry["type"] != "view":
            return _described(client, database, entry)
    return None


def _described(client: MongoClient[Document], database: str, entry: RawBSONDocument) -> Description:
    name, kind = str(entry["name"]), str(entry["type"])
    indexes = [] if kind == "view" else _listed(client[database], "listIndexes", name)
    return Description(database, name, kind, entry["options"], indexes)


def _entries(client: MongoClient[Document], database: str) -> list[RawBSONDocument]:
    """Return what `listCollections` says of collections with an application's documents, and of views.

    Among system collections, people write only ``system.js``.
    """
    found = _listed(client[database], "listCollections", 1)
    return [one for one in found if one["name"] == "system.js" or not one["name"].startswith("system.")]


def _listed(database: Database[Document], command: str, value: object) -> list[RawBSONDocument]:
    """Return what a command lists, by name; the driver's own helpers decode it, which loses types."""
    with database.cursor_command(command, value, codec_options=RAW) as cursor:
        return sorted(cast("list[RawBSONDocument]", list(cursor)), key=lambda one: str(one["name"]))


def _texts(described: RawBSONDocument) -> Json:
    """Return each option as text, without those that are as they are by default."""
    return {
        name: json_util.dumps(value, json_options=_TEXT)
        for name, value in sorted(bson.decode(described.raw, LENIENT).items())
        if name not in ("name", "ns") and _DEFAULTS.get(name) != value
    }
