"""MongoDB's options, validators, indexes and views, as the server describes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from bson import json_util
from bson.datetime_ms import DatetimeMS
from bson.json_util import JSONMode, JSONOptions
from pymongo import MongoClient
from pymongo.database import Database

from rollproof.collection import Json
from rollproof.stores.mongodb.bson import LENIENT
from rollproof.stores.mongodb.client import Document, holds_data

# Relaxed for readability: 1 and 1.0 differ, 32-bit and 64-bit integers do not.
_TEXT = JSONOptions(json_mode=JSONMode.RELAXED)
_CLUSTERED_KEY = "_id"
# Options that mean the same as none: a server may tell them or not, by how they came to be.
_OPTIONS: Mapping[str, object] = {
    "capped": False,
    "validator": {},
    "validationLevel": "strict",
    "validationAction": "error",
}
_INDEX_OPTIONS: Mapping[str, object] = {"unique": False, "sparse": False, "hidden": False}


@dataclass(frozen=True, slots=True)
class Expiry:
    """Documents expire `seconds` after the earliest date at `path`."""

    path: tuple[str, ...]
    seconds: float

    def of(self, document: Mapping[str, Any]) -> float | None:
        """Return the expiry time of `document` in seconds since 1970, or None if it never expires."""
        dates = list(_dates(document, self.path))
        return min(dates) + self.seconds if dates else None


def _dates(value: object, path: tuple[str, ...]) -> Iterator[float]:
    if isinstance(value, list):
        for item in value:
            yield from _dates(item, path)
    elif not path:
        if isinstance(value, DatetimeMS):
            yield int(value) / 1000
    elif isinstance(value, dict):
        yield from _dates(value.get(path[0]), path[1:])


@dataclass(frozen=True, slots=True)
class Description:
    """The server's description of a collection, time series or view."""

    database: str
    name: str
    kind: str
    options: Document
    indexes: tuple[Document, ...]

    @classmethod
    def of(cls, database: Database[Document], described: Document) -> Self:
        """Return the description for an entry of `listCollections`; asks for its indexes."""
        name, kind = str(described["name"]), str(described["type"])
        indexes = () if kind == "view" else tuple(_listed(database, "listIndexes", name))
        return cls(database.name, name, kind, described["options"], indexes)

    @property
    def full_name(self) -> str:
        """Its name among schemas: the name from `Reader.counts`, or a view's name after ``view``."""
        return f"{'view ' if self.kind == 'view' else ''}{self.database}.{self.name}"

    @property
    def time_field(self) -> str | None:
        """The field that orders a time series; other kinds have None."""
        return str(self.options["timeseries"]["timeField"]) if self.kind == "timeseries" else None

    @property
    def capped(self) -> bool:
        """Whether the server drops its oldest documents for new ones."""
        return bool(self.options.get("capped"))

    @property
    def expiries(self) -> tuple[Expiry, ...]:
        """The rules by which documents expire, except partial indexes: their documents are unknown."""
        found = [
            Expiry(tuple(next(iter(index["key"])).split(".")), float(index["expireAfterSeconds"]))
            for index in self.indexes
            if "expireAfterSeconds" in index and "partialFilterExpression" not in index
        ]
        if "expireAfterSeconds" in self.options:
            field = self.time_field or _CLUSTERED_KEY
            found.append(Expiry((field,), float(self.options["expireAfterSeconds"])))
        return tuple(expiry for expiry in found if expiry.seconds >= 0)  # excludes NaN

    def schema(self) -> Json:
        """Return the definition to compare, as texts: the order of keys matters in indexes and views."""
        found: dict[str, Json] = {"kind": self.kind, "options": _texts(self.options, _OPTIONS)}
        if self.kind != "view":
            found["indexes"] = {
                str(index["name"]): _texts(index, _INDEX_OPTIONS)
                for index in sorted(self.indexes, key=lambda index: str(index["name"]))
            }
        return found


def descriptions(client: MongoClient[Document], databases: tuple[str, ...]) -> Iterator[Description]:
    """Yield the descriptions of all collections with data, and of all views."""
    for name in sorted(databases):
        for described in _listed(client[name], "listCollections", 1):
            if described["type"] == "view" or holds_data(described):
                yield Description.of(client[name], described)


def description(client: MongoClient[Document], collection: str) -> Description | None:
    """Return the description of ``database.collection``, or None if it does not exist."""
    database, _, name = collection.partition(".")
    for described in _listed(client[database], "listCollections", 1):
        if described["name"] == name and holds_data(described):
            return Description.of(client[database], described)
    return None


def _listed(database: Database[Document], command: str, value: object) -> list[Document]:
    with database.cursor_command(command, value, codec_options=LENIENT) as cursor:
        return list(cursor)


def _texts(described: Document, needless: Mapping[str, object]) -> Json:
    """Return each option as text, except those at a value that is `needless` to say."""
    return {
        name: json_util.dumps(value, json_options=_TEXT)
        for name, value in sorted(described.items())
        if name not in ("name", "ns") and (name not in needless or value != needless[name])
    }
