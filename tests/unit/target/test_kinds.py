"""Kinds of store are found by their descriptors; every keeper refuses what its server cannot read."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import cast

import pytest

from rollback_actions.containers.compose import ComposeControl
from rollproof.errors import ActionFailed
from rollproof.profile.kinds import kinds
from rollproof.stores.keeper import Writable
from rollproof.stores.package import Package
from rollproof.stores.policy import chosen, compared_of, made_by_users_of, policy_of
from rollproof.stores.redis.descriptor import RedisProfile
from rollproof.stores.redis.keeper import RedisKeeper
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
    assert bool(profile.consumers) is False


def test_collections_with_a_uuid_are_proposed_as_made_by_users() -> None:
    layras = [f"colqwen{user}_3ad08408_2f9a_5103_82a9_579282a0bbd7" for user in ("ann", "bo")]
    there = [*layras, "files", "kb-3AD08408-2f9a-5103-82a9-579282a0bbd7"]
    patterns = made_by_users_of(there)
    assert len(patterns) == 2
    assert chosen(there, patterns) == sorted({*there} - {"files"})


@pytest.mark.parametrize(
    ("written", "reads", "refused"),
    [("7.2.4", "7.2.0", False), ("7.0.15", "7.2.4", False), ("7.2.4", "7.0.15", True)],
)
def test_a_server_that_cannot_read_the_backup_is_refused(written: str, reads: str, *, refused: bool) -> None:
    keeper = RedisKeeper(
        Writable("one", cast("RedisProfile", section("redis")), NOWHERE, cast("ComposeControl", None), 9)
    )
    package = Package("redis", "", {}, {"product": "redis", "server": written}, {}, 1, folder=Path("/b"))
    with pytest.raises(ActionFailed, match=f"{written}, for redis {reads}") if refused else nullcontext():
        keeper._expect_readable(package, {"product": "redis", "server": reads})
