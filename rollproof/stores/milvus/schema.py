"""A Milvus collection's definition: fields, partitions, indexes, aliases, and its load state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from pymilvus import MilvusClient

from rollproof.collection import Json
from rollproof.stores.milvus.client import WORKERS, indexes, load_state
from rollproof.system.side_by_side import each

# The compared entries of a description; the others are names given elsewhere, and the server's ids and times.
DESCRIBED = (
    "auto_id",
    "consistency_level_name",
    "description",
    "enable_dynamic_field",
    "functions",
    "num_shards",
    "properties",
    "struct_fields",
)
# The entries of an index about its progress, which a restore or a compaction changes.
PROGRESS = frozenset({"total_rows", "indexed_rows", "pending_index_rows", "state", "index_state_fail_reason"})


def schemas(client: MilvusClient, collections: Iterable[str], seconds: float) -> dict[str, Json]:
    """Return the schemas of `collections` and their aliases, by name; raises the client's exceptions."""

    def whole(collection: str) -> dict[str, Json]:
        description = client.describe_collection(collection, timeout=seconds)
        found: dict[str, Json] = {
            collection: {
                **{name: plain(description[name]) for name in DESCRIBED if name in description},
                "fields": [_field(field) for field in description["fields"]],
                "partitions": plain(sorted(client.list_partitions(collection, timeout=seconds))),
                "indexes": _indexes(client, collection, seconds),
                "load state": load_state(client, collection, seconds).word,
            }
        }
        for alias in description.get("aliases") or ():
            found[f"alias {alias}"] = collection
        return found

    every = each(whole, collections, workers=WORKERS, name="milvus").values()
    return dict(sorted((name, schema) for found in every for name, schema in found.items()))


def plain(value: Any) -> Json:  # noqa: ANN401 - whatever the client describes with
    """Return a description as JSON: types by name, mappings sorted."""
    if isinstance(value, Enum):
        return value.name
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in sorted(value.items(), key=str)}
    if isinstance(value, Iterable):
        return [plain(each) for each in value]
    return str(value)


def _field(field: Mapping[str, Any]) -> Json:
    return plain({name: value for name, value in field.items() if name != "field_id"})


def _indexes(client: MilvusClient, collection: str, seconds: float) -> Json:
    return {
        name: plain({key: value for key, value in index.items() if key not in PROGRESS})
        for name, index in sorted(indexes(client, collection, seconds))
    }
