"""Milvus: fields that its functions make, and what a backup holds when users went on meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pymilvus import DataType, FunctionType
from pymilvus.exceptions import MilvusException

from rollback_actions.backup import restore_trial
from rollproof.engines.engine import Endpoint
from rollproof.errors import Mismatch
from rollproof.stores.keeper import Restored
from rollproof.stores.milvus.client import Milvus
from rollproof.stores.milvus.table import Entities
from rollproof.stores.package import Kept
from rollproof.stores.reach import NOBODY, Reach

REACH = Reach("milvus", Endpoint("127.0.0.1", 9), NOBODY, 1.0)
FIELDS = [
    {"name": "id", "type": DataType.INT64, "is_primary": True},
    {"name": "text", "type": DataType.VARCHAR},
    {"name": "sparse", "type": DataType.SPARSE_FLOAT_VECTOR, "is_function_output": True},
    {"name": "dense", "type": DataType.FLOAT_VECTOR, "is_function_output": True},
    {"name": "signature", "type": DataType.BINARY_VECTOR, "is_function_output": True},
]
FUNCTIONS = [
    {"type": FunctionType.BM25, "output_field_names": ["sparse"]},
    {"type": FunctionType.TEXTEMBEDDING, "output_field_names": ["dense"]},
    {"type": FunctionType.MINHASH, "output_field_names": ["signature"]},
]
ROW = {"id": 1, "text": "a", "dense": [1.0, 2.0], "signature": b"\x0f"}


def entities(row: dict[str, Any]) -> Entities:
    """Return the entities of a collection with one, of a server that refuses to give what BM25 made."""

    def query(_: str, *, output_fields: Sequence[str], **__: object) -> list[dict[str, Any]]:
        if "sparse" in output_fields:
            raise MilvusException(1100, "not allowed to retrieve raw data of field sparse")
        return [{name: row[name] for name in output_fields}]

    described = {"fields": FIELDS, "functions": FUNCTIONS}
    client = SimpleNamespace(describe_collection=lambda *_, **__: described, query=query)
    milvus = Milvus(REACH, "default")
    milvus.connect = lambda: cast("Any", client)  # type: ignore[method-assign]
    return Entities(milvus, "files")


def digest(row: dict[str, Any]) -> int:
    found = entities(row)
    return found.hashed(*found.block(None, None, None, 1)).hash


def test_what_the_server_gives_is_compared() -> None:
    assert digest(ROW) == digest(dict(ROW))
    for name, other in (("text", "b"), ("dense", [1.0, 3.0]), ("signature", b"\x0e")):
        assert digest({**ROW, name: other}) != digest(ROW), name


def test_an_entity_is_exported_without_what_the_server_makes_itself() -> None:
    found = entities(ROW)
    (row,) = found.whole([1])
    exported = found.exported(row)
    assert (exported.key, exported.hash) == ("1", digest(ROW))
    assert exported.content == {**ROW, "signature": {"base64": "Dw=="}}
    assert found.row(exported.content) == {"id": 1, "text": "a"}


def test_a_trial_holds_a_restore_to_the_counts_of_its_backup_where_these_are_exact() -> None:
    kept = Kept("volumes", {"a": 3, "b": 0}, 9)
    restore_trial._require_all("milvus", kept, Restored({"a": 3, "b": 1}, unsettled=frozenset({"b"})))
    for back in (Restored({"a": 3, "b": 1}), Restored({"a": 2, "b": 0}, unsettled=frozenset({"b"}))):
        with pytest.raises(Mismatch, match="expected as many as its backup holds"):
            restore_trial._require_all("milvus", kept, back)
