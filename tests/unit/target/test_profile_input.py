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
        (f"\nx = {'[' * 3000}", f"observed more (at line {LINES + 2}, column 55)"),
        (f"\nx = {'{a=' * 3000}", f"observed more (at line {LINES + 2}, column"),
        ("\nx = [\n" + "[\n" * 3000, f"observed more (at line {LINES + 52}, column 1)"),
        (f"\nx = '{'[' * 3000}'\nx = 1", f"Cannot overwrite a value (at line {LINES + 3}, column 6)"),
        (f"\nx = '''\n{'[' * 3000}'''\nx = 1", f"Cannot overwrite a value (at line {LINES + 4}, column 6)"),
        (f"\n{'a.' * 3000}a = 1", f"expected keys of 20 parts at most, observed more (at line {LINES + 2}"),
        (f"\n[{'a.' * 3000}a]", f"expected keys of 20 parts at most, observed more (at line {LINES + 2}"),
        (chr(10) + '"a" . ' * 20 + "a = 1", "expected keys of 20 parts at most, observed more"),
        (f"\nx = {'1' * 5000}", f"observed one of 5,000 digits (at line {LINES + 2}, column 5)"),
        (f"\nx = {'1_' * 5000}1", f"observed one of 5,001 digits (at line {LINES + 2}, column 5)"),
        ("\nx = 1\nx = 2", f"Cannot overwrite a value (at line {LINES + 3}, column 6)"),
        ("\n[y]\n[y]", f"(at line {LINES + 3}, column 3)"),
        ("\nx = 1979-99-99", f"(at line {LINES + 2}, column 9)"),
        ("\nx = \udc80", f"bytes that are not UTF-8 (at line {LINES + 2})"),
        (f"\n# {'x' * 1024 * 1024}", "observed More than 1 MiB"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_text_that_nobody_writes_is_refused_with_its_place(tmp_path: Path, more: str, said: str) -> None:
    path = write_profile(tmp_path)
    path.write_bytes((PROFILE + more).encode(errors="surrogateescape"))
    assert said in refused(path)


def test_a_byte_order_mark_is_named(profile: Path) -> None:
    profile.write_bytes(b"\xef\xbb\xbf" + profile.read_bytes())
    assert "without a byte-order mark, observed a byte-order mark (at line 1" in refused(profile)


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/full", "/dev/tty", "pipe", "folder"])
def test_what_is_no_file_is_refused_and_not_read(tmp_path: Path, place: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    line = refused(tmp_path / place)
    observed = "a folder" if place == "folder" else "no regular file"
    assert f"expected a readable TOML file, observed {observed}" in line


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("ROLLPROOF_NAME", "No Name!", "name"),
        ("rollproof_name", "No Name!", "name"),
        ("ROLLPROOF_APPLICATION__URL", "no-url", "application.url"),
        ("ROLLPROOF_APPLICATION__URLL", "http://x", "application.urll"),
        ("ROLLPROOF_ENGINE__KIND", "x", "engine.kind"),
        ("ROLLPROOF_LIMITS", '{"memory_percent": 101}', "limits.memory_percent"),
        ("ROLLPROOF_LIMITS__MEMORY_PERCENT", "1" * 5000, "limits.memory_percent"),
        ("ROLLPROOF_STORES__REDIS__RISK", "none", "stores.redis"),
        ("ROLLPROOF_STORES__REDIS__RISK", "high", "stores.redis.risk"),
        (
            "ROLLPROOF_STORES__REDIS__POLICY",
            '{"0:a*": "grows", "0:a.b": "exact"}',
            "stores.redis.policy.0:a.b",
        ),
        (
            "ROLLPROOF_STORES",
            '{"redis": {"touched": {"*": "at", "0:a.b": "on"}}}',
            "stores.redis.touched.0:a.b",
        ),
        ("ROLLPROOF_STORES", '{"redis": {"risk": "none"}}', "stores.redis"),
        ("ROLLPROOF_STORES", "[" * 100_000, "ROLLPROOF_STORES"),
        ("ROLLPROOF_STORES", "no json", "ROLLPROOF_STORES"),
        ("ROLLPROOF_STORES__REDIS", "{" * 10, ""),
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
    assert name in line
    assert str(profile) not in line


def test_a_mistake_of_the_profile_is_not_a_variables(profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLPROOF_LIMITS", '{"restarts": 1}')
    profile.write_text(f"{profile.read_text()}\n[limits]\nmemory_percent = 101\n")
    line = refused(profile)
    assert line.startswith("limits.memory_percent")
    assert line.endswith(f"(from {profile})")


def test_a_pattern_of_a_variable_behind_a_wide_one_of_the_profile_is_refused(
    profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile.write_text(f'{profile.read_text()}\n[stores.redis.policy]\n"*" = "volatile"\n')
    name = "ROLLPROOF_STORES__REDIS__POLICY__0:USERS.A"
    monkeypatch.setenv("ROLLPROOF_STORES__REDIS__POLICY__*", "grows")
    monkeypatch.setenv(name, "exact")
    with pytest.raises(ProfileProblem) as error:
        load_target(profile)
    (one,) = error.value.mistakes
    assert (one.what, one.source) == ("stores.redis.policy.0:users.a", f"the variable {name}")
    assert str(one.expected).startswith("'0:users.a' before '*'")
    assert one.hint.endswith(f"in the profile: '0:users.a' above '*', or unset {name}")
    # There it has an effect, and the variable's value is the one that counts.
    text = profile.read_text().replace('"*" = "volatile"', '"0:users.a" = "grows"\n"*" = "volatile"')
    profile.write_text(text)
    assert [*load_target(profile).stores["redis"].policy.items()] == [("0:users.a", "exact"), ("*", "grows")]
