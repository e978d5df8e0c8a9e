"""Qdrant: its answers through its client, the names in its payloads, and no backup of a cluster's node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import create_autospec

import pytest

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.engine import Endpoint
from rollproof.errors import ActionFailed
from rollproof.profile.sections import Address
from rollproof.stores.names import names_at
from rollproof.stores.qdrant.client import Rest
from rollproof.stores.qdrant.descriptor import QdrantProfile
from rollproof.stores.qdrant.keeper import Keeper
from rollproof.stores.qdrant.reader import QdrantReader
from rollproof.stores.reach import Readable
from rollproof.stores.writable import Writable
from tests.unit.stores.test_readers_reach import NOWHERE


def _keeper(cluster: dict[str, Any] | None) -> Keeper:
    profile = QdrantProfile(
        kind="qdrant", risk="medium", services=("qdrant",), address=Address(host="127.0.0.1", port=1)
    )
    control = create_autospec(ComposeControl, instance=True)
    keeper = Keeper(Writable("qdrant", profile, Endpoint("127.0.0.1", 1), control=control, deadline=60.0))
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


Payload = Mapping[str, Any]


def view(*payloads: Payload) -> QdrantReader:
    """Return the view of a Qdrant with points of these payloads, which it filters as a server does."""
    profile = QdrantProfile(
        kind="qdrant", risk="medium", services=("qdrant",), address=Address(host="127.0.0.1", port=1)
    )

    def scrolled(_: str, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        for number, payload in enumerate(payloads):
            if all(_matches(payload, one["key"], one["match"]) for one in request["filter"]["must"]):
                yield {"id": number, "payload": payload}

    found = QdrantReader(Readable("qdrant", profile, NOWHERE))
    found._rest = cast("Any", SimpleNamespace(scrolled=scrolled))
    return found


def _matches(payload: Payload, key: str, match: Mapping[str, Any]) -> bool:
    held = [name for (name,) in names_at(payload, [key])]
    return any(str(one) in held for one in match.get("any", [match.get("value")]))


def names(*payloads: Payload, fields: Sequence[str]) -> list[Any]:
    return list(view(*payloads).names("files", fields, {}))


def test_a_field_may_lie_below_another() -> None:
    deep = {"page_content": "text", "metadata": {"source": "a", "page": 1}}
    assert names(deep, fields=["metadata.source"]) == [("a",)]
    assert names(deep, fields=["metadata.source", "metadata.page"]) == [("a", "1")]
    assert view(deep).held("files", ["metadata.source"], [("a",), ("b",)]) == {("a",)}


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"size": 4, "distance": "Cosine"}, ""),
        ({"size": {"size": 4, "distance": "Cosine"}}, "size"),
        ({"text": {"size": 4, "distance": "Cosine"}}, "text"),
    ],
)
def test_a_vector_may_be_called_as_a_setting_is(told: dict[str, Any], name: str) -> None:
    rest = cast("Any", SimpleNamespace(described=lambda _: ({"params": {"vectors": told}}, {})))
    assert Rest.dense_vectors(rest, "files") == {name: {"size": 4, "distance": "Cosine"}}
