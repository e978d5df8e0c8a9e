"""Qdrant: no backup of a cluster's node. Milvus: what its functions make is no field to be put back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import create_autospec

import pytest
from pymilvus import DataType, FunctionType
from pymilvus.exceptions import MilvusException

from rollback_actions.backup import restore_trial
from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.engine import Endpoint
from rollproof.errors import ActionFailed, Mismatch
from rollproof.profile.sections import Address
from rollproof.stores.keeper import Restored, Writable
from rollproof.stores.milvus.client import Milvus
from rollproof.stores.milvus.table import Entities
from rollproof.stores.package import Kept
from rollproof.stores.qdrant.client import Rest
from rollproof.stores.qdrant.descriptor import QdrantProfile
from rollproof.stores.qdrant.keeper import QdrantKeeper
from rollproof.stores.reach import NOBODY, Reach


def _keeper(cluster: dict[str, Any] | None) -> QdrantKeeper:
    profile = QdrantProfile(
        kind="qdrant", risk="medium", services=("qdrant",), address=Address(host="127.0.0.1", port=1)
    )
    control = create_autospec(ComposeControl, instance=True)
    keeper = QdrantKeeper(
        Writable("qdrant", profile, Endpoint("127.0.0.1", 1), control=control, deadline=60.0)
    )
    rest = create_autospec(Rest, instance=True)
    rest.call.return_value = cluster
    rest.collections.return_value = []
    rest.aliases.return_value = {}
    rest.version.return_value = "1.16.0"
    keeper._rest = cast("Any", rest)
    return keeper


@pytest.mark.parametrize("cluster", [None, {"status": "disabled"}, {"status": "enabled", "peers": {"1": {}}}])
def test_a_server_alone_is_backed_up(tmp_path: Path, cluster: dict[str, Any] | None) -> None:
    assert _keeper(cluster).back_up(tmp_path).records == {}


def test_a_node_of_a_cluster_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ActionFailed, match="observed a cluster of 3 nodes"):
        _keeper({"status": "enabled", "peers": {"1": {}, "2": {}, "3": {}}}).back_up(tmp_path)


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
