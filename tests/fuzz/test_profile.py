"""Profiles: whatever the file and its overrides are, they load, or are refused with exit code 4."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fixtures.target.mistakes import ProfileProblem
from fixtures.target.profile import Target, load_target
from tests.conftest import PROFILE, write_profile

LINES = PROFILE.splitlines()
PIECES = [
    *(
        "[",
        "]",
        "{",
        "}",
        "=",
        ".",
        ",",
        '"',
        "'",
        '"""',
        "'''",
        "\\",
        "#",
        "\n",
        " ",
        "_",
        "1",
        "e9",
        "nan",
        "inf",
    ),
    *(
        "a",
        "name",
        "stores",
        "1979-01-01",
        "true",
        "[" * 60,
        "1" * 4400,
        "a." * 120,
        "\N{ZERO WIDTH NO-BREAK SPACE}",
        "é",
    ),
]
pieces = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
NAMES = [f"ROLLPROOF_{name.upper()}" for name in Target.model_fields]
VALUES = [
    "",
    "1",
    "x",
    "[]",
    "{}",
    "null",
    "NaN",
    "[" * 2000,
    '{"redis": 1}',
    '{"a": {}}',
    "1" * 5000,
    "\udc80",
    '"\\ud800"',
]


def loads_or_is_refused(path: Path) -> None:
    try:
        load_target(path)
    except ProfileProblem as problem:
        *lines, _ = str(problem).split("\n")
        assert lines
        assert all(len(line) < 4000 for line in lines)


@given(st.integers(0, len(LINES) - 1), pieces, st.booleans())
@example(0, "[" * 3000, True)
@example(3, "x = " + "1" * 5000, False)
def test_whatever_a_profile_holds(at: int, piece: str, whole: bool) -> None:  # noqa: FBT001 - made up
    """A line of a profile is replaced, or continued, by something else."""
    with TemporaryDirectory() as folder:
        path = write_profile(Path(folder))
        lines = [*LINES]
        lines[at] = piece if whole else lines[at] + piece
        path.write_text("\n".join(lines), encoding="utf-8")
        loads_or_is_refused(path)


@given(st.binary(max_size=40))
@example(b"\xff")
@example(b"\0")
def test_whatever_a_profile_is(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "profile.toml"
        path.write_bytes(data)
        loads_or_is_refused(path)


@given(
    st.sampled_from(NAMES),
    st.lists(st.sampled_from(["URL", "REDIS", "KIND", "A", "", "0", "PHASE1", "CANARY"]), max_size=3),
    st.sampled_from(VALUES),
)
def test_whatever_a_variable_holds(name: str, keys: list[str], value: str) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        with suppress(KeyError):
            os.environ.pop(name)
        patched.setenv("__".join([name, *keys]), value)
        loads_or_is_refused(write_profile(Path(folder)))
