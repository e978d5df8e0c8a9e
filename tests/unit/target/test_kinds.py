"""Kinds of store: each is found by its descriptor."""

from __future__ import annotations

import pytest

from rollproof.profile.kinds import kinds
from rollproof.profile.store_descriptor import Trait
from rollproof.stores.policy import compared_of, policy_of
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
