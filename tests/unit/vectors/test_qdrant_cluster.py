"""A backup of one node of a Qdrant cluster: whole, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast
from unittest.mock import create_autospec

import pytest
from qdrant_client import QdrantClient
from qdrant_client.http.exceptions import UnexpectedResponse

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.engine import Endpoint
from rollproof.errors import ActionFailed
from rollproof.profile.sections import Address
from rollproof.stores.qdrant.descriptor import QdrantProfile
from rollproof.stores.qdrant.keeper import Keeper
from rollproof.stores.writable import Writable

Shard = dict[str, Any]


def _local(number: int, state: str = "Active") -> Shard:
    return {"shard_id": number, "points_count": 1, "state": state}


def _remote(number: int) -> Shard:
    return {"shard_id": number, "peer_id": 7, "state": "Active"}


def _keeper(status: int, local: list[Shard], remote: list[Shard]) -> Keeper:
    profile = QdrantProfile(
        kind="qdrant", risk="medium", services=("qdrant",), address=Address(host="127.0.0.1", port=1)
    )
    control = create_autospec(ComposeControl, instance=True)
    keeper = Keeper(Writable("qdrant", profile, Endpoint("127.0.0.1", 1), control=control, deadline=60.0))
    answer = {"result": {"local_shards": local, "remote_shards": remote}}

    def request(*, method: str, url: str, **_: object) -> dict[str, Any]:
        assert (method, url) == ("GET", "/collections/a%20b/cluster")
        if status != 200:
            raise UnexpectedResponse(status, "no", b"", cast("Any", {}))
        return answer

    client = create_autospec(QdrantClient, instance=True)
    client.http.client.request = request
    keeper._rest.connect = lambda: client  # type: ignore[method-assign]
    return keeper


@pytest.mark.parametrize(
    ("status", "local", "remote"),
    [
        (200, [_local(0), _local(1)], []),
        (200, [_local(0), _local(1)], [_remote(0), _remote(1)]),
        *((status, [], []) for status in (404, 405, 501)),
    ],
)
def test_a_node_with_every_shard_is_backed_up(status: int, local: list[Shard], remote: list[Shard]) -> None:
    _keeper(status, local, remote)._require_whole("a b")


@pytest.mark.parametrize(
    ("local", "remote", "said"),
    [
        ([_local(0)], [_remote(1)], "1 of 2 on other nodes alone"),
        ([_local(0, "Partial"), _local(1)], [_remote(0)], "1 of 2"),
        ([], [_remote(0)], "1 of 1"),
    ],
)
def test_a_shard_that_another_node_alone_has_refuses_the_backup(
    tmp_path: Path, local: list[Shard], remote: list[Shard], said: str
) -> None:
    with pytest.raises(ActionFailed, match=said):
        _keeper(200, local, remote)._fetch("a b", tmp_path / "file", cast("Any", None))
