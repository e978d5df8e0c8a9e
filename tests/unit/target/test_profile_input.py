"""A profile that is anything, and variables that override it with anything: one line, and its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rollproof.errors import ExitCode
from rollproof.profile.mistakes import ProfileProblem
from rollproof.profile.profile import load_target
from tests.conftest import PROFILE, write_profile

LINES = PROFILE.count("\n")


def refused(path: Path) -> str:
    """Return the only line of the error."""
    with pytest.raises(ProfileProblem) as error:
        load_target(path)
    assert error.value.exit_code is ExitCode.USAGE
    line, hint = str(error.value).split("\n")
    assert hint.startswith("HINT: ")
    assert len(line) < 1000
    return line


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (f"\nx = {'[' * 3000}", "maximum recursion depth"),
        (f"\nx = {'1' * 5000}", "4300 digits"),
        (f"\n{'a.' * 3000}a = 1", "the unknown key a"),
        ("\nx = 1\nx = 2", f"Cannot overwrite a value (at line {LINES + 3}, column 6)"),
        ("\n[y]\n[y]", f"(at line {LINES + 3}, column 3)"),
        ("\nx = \udc80", "bytes that are not UTF-8"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_text_that_is_no_profile_is_refused(tmp_path: Path, more: str, said: str) -> None:
    path = write_profile(tmp_path)
    path.write_bytes((PROFILE + more).encode(errors="surrogateescape"))
    assert said in refused(path)


@pytest.mark.parametrize(
    ("place", "observed"), [("pipe", "Not a regular file"), ("folder", "Is a directory")]
)
def test_what_is_no_file_is_refused_and_not_read(tmp_path: Path, place: str, observed: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    assert observed in refused(tmp_path / place)


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("ROLLPROOF_APPLICATION__URL", "ftp://app:correct-horse@host", "application.url"),
        ("ROLLPROOF_APPLICATION__URLL", "http://x", "application.urll"),
        ("ROLLPROOF_LIMITS", '{"memory_percent": 101}', "limits.memory_percent"),
        ("ROLLPROOF_LIMITS__MEMORY_PERCENT", "1" * 5000, "limits.memory_percent"),
        ("ROLLPROOF_STORES__REDIS__RISK", "high", "stores.redis.risk"),
        (
            "ROLLPROOF_STORES",
            '{"redis": {"touched": {"*": "at", "0:a.b": "on"}}}',
            "stores.redis.touched.0:a.b",
        ),
        ("ROLLPROOF_LIMITS", '{"a": NaN}', ""),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_a_mistake_in_a_variable_names_it(
    profile: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, key: str
) -> None:
    monkeypatch.setenv(name, value)
    line = refused(profile)
    assert line.startswith(key)
    assert f"the variable {name})" in line
    assert "correct-horse" not in line


@pytest.mark.parametrize("value", ["[" * 100_000, "no json"], ids=["nested", "text"])
def test_a_variable_that_is_no_json_is_refused(
    profile: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("ROLLPROOF_STORES", value)
    assert refused(profile).startswith("variables ROLLPROOF_…: expected JSON")
