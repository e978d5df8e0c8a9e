"""Who names records is backed up before who holds them."""

from __future__ import annotations

import tomllib
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_actions.backup.whole_backup import _waves, waves
from rollproof.profile.profile import Target
from rollproof.profile.sections import Reference
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"a": set[str](), "b": set[str]()}, (("a", "b"),)),
        ({"a": {"b"}, "b": {"c"}, "c": set[str]()}, (("a",), ("b",), ("c",))),
        ({"c": set[str](), "b": {"c"}, "a": {"b", "c"}}, (("a",), ("b",), ("c",))),
        ({"a": {"a", "b"}, "b": set[str]()}, (("a",), ("b",))),
        # Two that name each other are copied side by side, between those before and after.
        ({"v": {"d"}, "d": {"r", "o"}, "r": {"d"}, "o": set[str]()}, (("v",), ("d", "r"), ("o",))),
    ],
)
def test_a_wave_follows_those_that_lead_to_it(
    named: dict[str, set[str]], expected: tuple[tuple[str, ...], ...]
) -> None:
    assert _waves(named) == expected


NAMES = "abcdef"


@given(st.fixed_dictionaries({name: st.sets(st.sampled_from(NAMES)) for name in NAMES}))
def test_whatever_names_whatever_each_is_copied_once_and_never_after_what_it_names(
    named: dict[str, set[str]],
) -> None:
    found = _waves(named)
    assert sorted(name for wave in found for name in wave) == [*NAMES]
    number = {name: at for at, wave in enumerate(found) for name in wave}
    assert all(number[one] <= number[other] for one in named for other in named[one])


def test_of_a_stranger_s_stack_the_vectors_go_first_and_the_objects_last() -> None:
    profile = tomllib.loads((ROOT / "targets" / "stranger.toml").read_text(encoding="utf-8"))
    stores = {
        name: SimpleNamespace(together=one.get("together", ())) for name, one in profile["stores"].items()
    }
    canary = SimpleNamespace(references=_references(profile["application"]["canary"]["references"]))
    target = SimpleNamespace(
        stores=stores,
        references=_references(profile["references"]),
        application=SimpleNamespace(canary=canary),
    )
    first, middle, last = waves(cast("Target", target))
    assert {"milvus", "qdrant"} <= {*first}
    assert {*middle} == {"mysql", "migrations", "mongodb"}
    assert last == ("minio",)


def _references(said: dict[str, object]) -> dict[str, Reference]:
    return {name: Reference.model_validate(one) for name, one in said.items()}
