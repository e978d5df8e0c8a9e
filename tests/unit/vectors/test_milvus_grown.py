"""What a backup of Milvus holds when users went on while it was taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from unittest.mock import create_autospec

import pytest
from pymilvus import MilvusClient
from pymilvus.client.types import LoadState

from rollback_actions.backup import restore_trial
from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.engine import Endpoint
from rollproof.errors import Mismatch
from rollproof.profile.sections import Address
from rollproof.stores.keeper import Restored
from rollproof.stores.milvus import keeper
from rollproof.stores.milvus.client import Milvus
from rollproof.stores.milvus.descriptor import MilvusProfile
from rollproof.stores.package import Kept, read_package
from rollproof.stores.writable import Writable


@dataclass
class Containers:
    """The containers of a Milvus, and what was done with them."""

    calls: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what else a keeper calls
        def call(*_: object, **__: object) -> None:
            self.calls.append(name)

        return call


def test_what_was_released_is_released_after_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = create_autospec(MilvusClient, instance=True)
    client.list_collections.return_value = ["a"]
    # Before, and after the start has loaded it.
    client.get_load_state.side_effect = [
        {"state": state} for state in (LoadState.NotLoad, *(LoadState.Loaded,) * 9)
    ]
    client.query.return_value = [{"count(*)": 3}]
    client.get_server_version.return_value = "2.3.5"
    monkeypatch.setattr(Milvus, "connect", lambda _: client)
    profile = MilvusProfile(
        kind="milvus",
        address=Address(host="127.0.0.1", port=9),
        services=("milvus",),
        risk="high",
        policy={"*": "changes"},
    )
    control = Containers()
    writable = Writable("milvus", profile, Endpoint("127.0.0.1", 9), cast("ComposeControl", control), 60.0)
    keeper.Keeper(writable).back_up(tmp_path)
    assert client.release_collection.called
    assert control.calls == ["stop", "save_volumes", "start", "resolve"]
    # What was written to meanwhile may come back as something between.
    back = keeper.Keeper(writable).restore(tmp_path)
    assert back.unsettled == {"a"}
    kept = read_package(tmp_path, kind="milvus")
    assert kept.details["unsettled"] == ["a"]


def test_a_trial_holds_a_restore_to_the_counts_of_its_backup_where_these_are_exact() -> None:
    kept = Kept("volumes", {"a": 3, "b": 0}, 9)
    restore_trial._require_all("milvus", kept, Restored({"a": 3, "b": 1}, unsettled=frozenset({"b"})))
    for back in (Restored({"a": 3, "b": 1}), Restored({"a": 2, "b": 0}, unsettled=frozenset({"b"}))):
        with pytest.raises(Mismatch, match="expected as many as its backup holds"):
            restore_trial._require_all("milvus", kept, back)
