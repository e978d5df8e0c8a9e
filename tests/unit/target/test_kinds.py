"""Kinds of store are found by their descriptors; every keeper refuses what its server cannot read."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import cast

import pytest

from rollback_actions.containers.compose import ComposeControl
from rollproof.collection import Json
from rollproof.errors import ActionFailed
from rollproof.profile.data_formats import Marks
from rollproof.profile.kinds import kinds
from rollproof.profile.store_descriptor import Trait
from rollproof.stores.keeper import Put, Restored, StoreKeeper
from rollproof.stores.package import Kept, Package
from rollproof.stores.policy import compared_of, policy_of
from rollproof.stores.writable import Writable
from tests.conftest import ROOT
from tests.unit.stores.test_readers_reach import NOWHERE, section


def test_every_package_of_a_store_is_a_kind() -> None:
    folders = {path.parent.name for path in (ROOT / "rollproof" / "stores").glob("*/descriptor.py")}
    assert set(kinds()) == folders


@pytest.mark.parametrize("kind", kinds())
def test_only_a_kind_that_keeps_versions_has_collections_of_them(kind: str) -> None:
    """A table may have any name: none is taken for versions by it."""
    descriptor, profile = kinds()[kind], section(kind)
    versioned = bool(descriptor.advice_for_versions)
    assert policy_of(profile, "versions x.users") == ("grows" if versioned else "exact")
    assert descriptor.place_of("versions x.users") == ("x.users" if versioned else "versions x.users")
    assert compared_of(profile, ["a"], ["a", "versions a"]) == (["a", "versions a"] if versioned else ["a"])
    assert (descriptor.retain is not None) is (Trait.LOG in descriptor.traits)
    assert bool(profile.consumers) is False


class Keeper(StoreKeeper):
    """Says what it is asked to."""

    def back_up(self, folder: Path) -> Kept:
        raise NotImplementedError

    def restore(self, folder: Path) -> Restored:
        raise NotImplementedError

    def putting(self, collection: str, folder: Path, *, overwrite: bool) -> AbstractContextManager[Put]:
        raise NotImplementedError

    def refuse_unreadable(self, kept: Marks, observed: Marks) -> None:
        package = Package(self.kind, "", {}, kept, {}, 1, folder=Path("/backups/b1/one"))
        self._expect_readable(package, observed)


def test_a_server_that_cannot_read_the_backup_is_refused() -> None:
    keeper = Keeper(Writable("one", section("redis"), NOWHERE, cast("ComposeControl", None), 600.0))
    older = {"product": "redis", "server": "7.0.15"}
    kept: dict[str, Json] = {"product": "redis", "server": "7.2.4"}
    keeper.refuse_unreadable(kept, {**kept, "server": "7.2.0"})
    keeper.refuse_unreadable({**older}, kept)
    with pytest.raises(ActionFailed, match=r"redis 7\.2\.4, for redis 7\.0\.15"):
        keeper.refuse_unreadable(kept, {**older})
