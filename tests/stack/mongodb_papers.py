"""Papers to fill a test's own MongoDB database with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bson import Decimal128

from rollproof.stores.mongodb.client import Document

START = datetime(2024, 1, 1, tzinfo=UTC)


def paper(number: int) -> Document:
    return {
        "_id": number,
        "text": f"Alpha {number}",
        "note": None,
        "count": number,
        "price": 2.3,
        "exact": Decimal128("1.10"),
        "at": START + timedelta(seconds=number),
        "bytes": bytes(range(number, number + 8)),
        "list": [number, "a"],
        "first": "ab",
        "second": "c",
        "nested": {"a": 1, "b": {"deep": 2}},
        "flag": False,
    }
