"""Qdrant: its answers through its client, the names in its payloads, and no backup of a cluster's node."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast
from unittest.mock import create_autospec

import pytest

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.engine import Endpoint
from rollproof.errors import ActionFailed
from rollproof.profile.sections import Address
from rollproof.stores.qdrant.client import Rest
from rollproof.stores.qdrant.descriptor import QdrantProfile
from rollproof.stores.qdrant.keeper import Keeper
from rollproof.stores.writable import Writable


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
