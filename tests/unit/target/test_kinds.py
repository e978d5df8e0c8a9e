"""Kinds of store: each is found by its descriptor, and one that cannot be used stops every profile."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from pkgutil import resolve_name

import pytest

from rollproof.errors import UsageProblem
from rollproof.profile.kinds import GROUP, discovered, kinds
from rollproof.profile.profile import load_target
from rollproof.profile.store_descriptor import Descriptor, Trait
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.policy import compared_of, policy_of
from rollproof.stores.reader import Reader
from rollproof.stores.redis.descriptor import DESCRIPTOR as REDIS
from tests.conftest import ROOT
from tests.unit.stores.test_readers_reach import section

PLACES = (
    *("reader", "keeper"),
    *("clients", "addresses", "sweep", "finished"),
)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Install a distribution that brings a descriptor from the place that is given."""

    def install(place: str) -> None:
        folder = tmp_path / "another_store-1.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: another-store\nVersion: 1\n")
        (folder / "entry_points.txt").write_text(f"[{GROUP}]\nanother = {place}\n")
        monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
        discovered.cache_clear()

    yield install
    discovered.cache_clear()


def test_every_package_of_a_store_is_a_kind() -> None:
    folders = {path.parent.name for path in (ROOT / "rollproof" / "stores").glob("*/descriptor.py")}
    assert set(kinds()) == folders


@pytest.mark.parametrize("kind", kinds())
def test_only_a_kind_that_keeps_versions_has_collections_of_them(kind: str) -> None:
    """A table may have any name: none is taken for versions by it."""
    descriptor, profile = kinds()[kind], section(kind)
    versioned = bool(descriptor.keep_versions)
    assert policy_of(profile, "versions x.users") == ("grows" if versioned else "exact")
    assert descriptor.place_of("versions x.users") == ("x.users" if versioned else "versions x.users")
    assert compared_of(profile, ["a"], ["a", "versions a"]) == (["a", "versions a"] if versioned else ["a"])
    assert (descriptor.retain is not None) is (Trait.LOG in descriptor.traits)
    assert bool(profile.consumers) is False


@pytest.mark.parametrize("kind", kinds())
def test_what_a_descriptor_names_is_there(kind: str) -> None:
    descriptor = kinds()[kind]
    named = {place: getattr(descriptor, place) for place in PLACES}
    assert all(callable(resolve_name(where)) for where in named.values() if where)
    assert issubclass(resolve_name(named["reader"]), Reader)
    assert issubclass(resolve_name(named["keeper"]), StoreKeeper)


@pytest.mark.parametrize(
    ("place", "observed"),
    [
        ("no_such_module:DESCRIPTOR", "ModuleNotFoundError"),
        ("rollproof.stores.redis.descriptor:NO_SUCH", "AttributeError"),
        ("rollproof.stores.redis.descriptor:RedisProfile", "observed a ModelMetaclass, or"),
        ("rollproof.stores.redis.descriptor:DESCRIPTOR", "or a second one of a kind"),
    ],
)
def test_a_kind_that_cannot_be_used_stops_every_profile(
    profile: Path, installed: Callable[[str], None], place: str, observed: str
) -> None:
    installed(place)
    with pytest.raises(UsageProblem, match=observed) as raised:
        load_target(profile)
    assert place in str(raised.value)
    assert kinds()["redis"] is REDIS
    assert all(isinstance(one, Descriptor) for one in kinds().values())
