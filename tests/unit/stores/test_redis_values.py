"""Values of Redis: names that are told apart, elements in any order, pipelines of many readings."""

from __future__ import annotations

from typing import Any

import pytest

from rollproof.stores.redis.values import (
    SLICE_BYTES,
    Changed,
    Command,
    Reading,
    Subject,
    Unordered,
    Value,
    framed,
    in_pipelines,
    text,
)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"plain", "plain"),
        ("ä €".encode(), "ä €"),
        (b"\xff", "\\xff"),
        (b"\\xff", "\\\\xff"),
        (b"a\nb", "a\\x0ab"),
        ("\u00a0".encode(), "\\xc2\\xa0"),
        (b"", ""),
    ],
)
def test_names_are_shown_so_that_no_two_look_the_same(name: bytes, shown: str) -> None:
    assert text(name) == shown


def test_frames_keep_boundaries() -> None:
    assert len({framed(b"ab", b"c"), framed(b"a", b"bc"), framed(b"abc"), framed(b"abc", b"")}) == 4


def _unordered(*elements: tuple[bytes, ...]) -> bytes:
    found = Unordered()
    for element in elements:
        found.add(*element)
    return found.digest()


def test_elements_add_up_in_any_order() -> None:
    pairs: list[tuple[bytes, ...]] = [(b"a", b"1"), (b"b", b"2")]
    assert _unordered(*pairs) == _unordered(*pairs[::-1])
    others: list[list[tuple[bytes, ...]]] = [
        [],
        [pairs[0]],
        [*pairs, pairs[0]],
        [(b"a", b"2"), (b"b", b"1")],
        [(b"a1",), (b"b", b"2")],
    ]
    assert len({_unordered(*pairs), *(_unordered(*other) for other in others)}) == 6


def test_slices_hold_about_as_many_bytes_as_they_should() -> None:
    assert Subject(b"k", 10 * SLICE_BYTES).slice_of(1000) == 100
    assert Subject(b"k", 10_000 * SLICE_BYTES).slice_of(1000) == 1
    assert Subject(b"k", 0).slice_of(7) == 7


def _reads(name: str, commands: int) -> Reading:
    answers = []
    for number in range(commands):
        answer = yield (name, number)
        if answer == "changed":
            raise Changed
        answers.append(answer)
    return Value(repr(answers).encode(), {})


def test_readings_share_pipelines() -> None:
    asked: list[list[Command]] = []

    def ask(commands: list[Command]) -> list[Any]:
        asked.append(commands)
        return [
            Changed() if name == "gone" else "changed" if (name, number) == ("moving", 1) else number
            for name, number in commands
        ]

    found = in_pipelines([_reads(name, n) for name, n in zip("abc", (1, 3, 0), strict=True)], ask)
    assert [value.digest if value else None for value in found] == [b"[0]", b"[0, 1, 2]", b"[]"]
    assert asked == [[("a", 0), ("b", 0)], [("b", 1)], [("b", 2)]]
    found = in_pipelines([_reads("gone", 2), _reads("moving", 3), _reads("d", 2)], ask)
    assert [value.digest if value else None for value in found] == [None, None, b"[0, 1]"]
