"""Qdrant alone: what a schema of it has."""

from __future__ import annotations

from rollproof.stores.reader import Reader
from tests.stack.reading.qdrant import Qdrant

STORES = ("qdrant",)


def test_schemas_have_what_a_collection_was_made_with(subject: Qdrant, content: Reader) -> None:
    schemas, alias = content.schemas(), f"alias {subject.scratch.alias}"
    assert list(schemas) == sorted([alias, *subject.counts])
    assert schemas[alias] == subject.full
    full = schemas[subject.full]
    assert isinstance(full, dict)
    assert full["payload_indexes"] == {"word": {"data_type": "keyword"}}
    assert {"params", "hnsw_config", "optimizer_config", "wal_config"} <= set(full)
