"""A log of Kafka: divisions, positions that strayed, and records that the broker has removed by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest

from rollproof.collection import Json
from rollproof.stores.kafka.positions import strays

RECORDED: Mapping[str, Json] = {
    "topic t 0": {"begin": 5, "end": 25, "groups": {"a group": 20}},
    "topic t 1": {"begin": 0, "end": 9, "groups": {"a group": 9}},
}


@pytest.mark.parametrize(
    ("zero", "one", "words"),
    [
        ({}, {}, []),
        # It went on: more came, more was read, more has expired.
        ({"begin": 22, "end": 40, "groups": {"a group": 40, "new": 22}}, {}, []),
        ({"groups": {}}, {}, ["group a group in topic t 0: expected offset 20 or later, observed none"]),
        ({"groups": {"a group": 19}}, {}, ["expected offset 20 or later, observed 19"]),
        ({"groups": {"a group": 26}}, {}, ["expected an offset up to 25, observed 26"]),
        ({"end": 24}, {}, ["topic t 0: expected to end at 25 or later, observed 24"]),
        (
            {},
            None,
            ["expected to end at 9 or later, observed 0", "expected offset 9 or later, observed none"],
        ),
        # Made anew: all offsets are 5 lower.
        ({"begin": 0, "end": 20, "groups": {"a group": 15}}, {}, []),
        (
            {"begin": 0, "end": 19, "groups": {"a group": 14}},
            {},
            ["expected to end at 20 or later, observed 19", "expected offset 15 or later, observed 14"],
        ),
        # Made anew and empty.
        ({}, {"begin": 0, "end": 0}, ["topic t 1: expected to end at 9", "up to 0, observed 9"]),
    ],
)
def test_what_strayed_is_told(zero: dict[str, Json], one: dict[str, Json] | None, words: list[str]) -> None:
    changes = {"topic t 0": zero, "topic t 1": one}
    now = {
        name: {**cast("dict[str, Json]", RECORDED[name]), **change}
        for name, change in changes.items()
        if change is not None
    }
    lines = list(strays(RECORDED, now))
    assert len(lines) == len(words)
    for line, word in zip(lines, words, strict=True):
        assert word in line
