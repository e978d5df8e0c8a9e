"""Profiles: whatever the file and its overrides are, they load, or are refused with exit code 4."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rollproof.profile.mistakes import ProfileProblem
from rollproof.profile.profile import Target, load_target
from tests.conftest import PROFILE, write_profile

LINES = PROFILE.splitlines()
PIECES = [
    *"[]{}=.,\"'\\#\n _1aé\N{ZERO WIDTH NO-BREAK SPACE}",
    *('"""', "'''", "e9", "nan", "inf", "name", "stores", "1979-01-01", "true", '"fifo"', '"/dev/zero"'),
    *("[" * 60, "1" * 4400, "a." * 120, '"a" . ' * 120, '"' + "a/" * 5000 + '"'),
    "\n" + ".".join("abcdefghijklmnopqrs") + "=1",
    "\n" + "a" * 5000 + " = 1\n",
    "".join(f"\nunknown{number} = 1" for number in range(300)),
    "".join(f"\n[stores.s{number}]\nkind = 'x'" for number in range(300)),
    r'"\u001b[2J\u0007\n\u202e"',
]
FILES = [
    'password = {file = "canary_password"} -> password = {file = "it"}',
    'kind = "compose" -> kind = "compose"\nfiles = ["it"]',
    'kind = "compose" -> kind = "compose"\nenv_file = "it"',
    'port = 9} -> port = 9, tls = true, ca = "it"}',
    '[application.canary] -> [application.canary]\nupload = "it"',
    '[signing]\nkey = "it"',
    '[signing]\nallowed_signers = "it"',
    '[premigration.state]\ncommit_file = "it"',
    '[premigration.team]\ndocument = "it"',
]
pieces = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
NAMES = [f"ROLLPROOF_{name.upper()}" for name in Target.model_fields]
VALUES = [
    *("", "1", "x", "[]", "{}", "null", "NaN", '{"redis": 1}', '{"a": {}}', "\udc80", '"\\ud800"'),
    *("[" * 2000, "1" * 5000),
]


def loads_or_is_refused(path: Path) -> None:
    try:
        load_target(path)
    except ProfileProblem as problem:
        *lines, _ = str(problem).split("\n")
        assert lines
        assert all(len(line) < 4000 for line in lines)
        assert all(one.isprintable() for line in lines for one in line)


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


def _pipe(path: Path) -> None:
    os.mkfifo(path)


SECRETS: list[Callable[[Path], object]] = [
    _pipe,
    Path.mkdir,
    lambda path: path.symlink_to("/dev/zero"),
    lambda path: path.symlink_to("/dev/full"),
    lambda path: path.symlink_to("/proc/self/mem"),
    lambda path: path.symlink_to(path),
    lambda path: path.symlink_to("a" * 255),
    lambda path: path.write_bytes(b"x" * 100_000),
    lambda path: os.truncate(path, 3 * 1024**3) if path.write_bytes(b"x") else None,
    lambda path: path.write_bytes(b"\xff\n\x1b[2J"),
    lambda path: path.write_bytes(b"\n"),
]


@given(st.sampled_from(SECRETS), st.sampled_from(FILES))
def test_whatever_a_file_of_a_profile_is(make: Callable[[Path], object], line: str) -> None:
    """A secret's, a key's, a document's: what is no file is not waited for, nor is a large one read."""
    with TemporaryDirectory() as folder:
        path = write_profile(Path(folder), f"\n{line}\n" if line.startswith("[") else "")
        if not line.startswith("["):
            old, new = line.split(" -> ")
            text = path.read_text(encoding="utf-8")
            assert old in text
            path.write_text(text.replace(old, new, 1), encoding="utf-8")
        make(Path(folder) / "it")
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
