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
from rollproof.stores.milvus.keeper import _Collection, _Details
from rollproof.stores.package import Kept, read_package
from rollproof.stores.writable import Writable

BEFORE = {"old": _Collection(loaded=True, records=3), "going": _Collection(loaded=True, records=1)}
KEPT = _Details(server="2.3.5", collections=BEFORE, unsettled=("going", "new"))


def _found(**collections: _Collection | None) -> _Details:
    found = {**BEFORE, **collections}
    return _Details(server="2.3.5", collections={name: one for name, one in found.items() if one is not None})


@pytest.mark.parametrize(
    ("found", "held"),
    [
        (_found(), True),
        (_found(old=_Collection(loaded=True, records=4)), False),
        (_found(old=_Collection(loaded=False, records=None)), False),
        (_found(old=None), False),
        # Users wrote there meanwhile.
        (_found(going=None), True),
        (_found(going=_Collection(loaded=True, records=99)), True),
        (_found(new=_Collection(loaded=True, records=2)), True),
        (_found(other=_Collection(loaded=True, records=0)), False),
    ],
)
def test_a_restore_has_the_counts_of_what_nobody_wrote_to(found: _Details, *, held: bool) -> None:
    assert KEPT.holds(found) is held


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
