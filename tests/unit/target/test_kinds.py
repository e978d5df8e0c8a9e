"""Kinds of store: each is found by its descriptor."""

from __future__ import annotations

import pytest

from rollproof.profile.kinds import kinds
from rollproof.profile.store_descriptor import Trait
from rollproof.stores.policy import chosen, compared_of, made_by_users_of, policy_of
from tests.conftest import ROOT
from tests.unit.stores.test_readers_reach import section


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


def test_collections_with_a_uuid_are_proposed_as_made_by_users() -> None:
    layras = [f"colqwen{user}_3ad08408_2f9a_5103_82a9_579282a0bbd7" for user in ("ann", "bo")]
    there = [*layras, "files", "kb-3AD08408-2f9a-5103-82a9-579282a0bbd7"]
    patterns = made_by_users_of(there)
    assert len(patterns) == 2
    assert chosen(there, patterns) == sorted({*there} - {"files"})
