"""Secrets that a program prints: once a process, with a deadline, and never shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollproof.errors import UsageProblem
from rollproof.profile.profile import load_target
from rollproof.redaction import secret_command
from rollproof.redaction.secret import known_secrets
from tests.conftest import write_profile
from tests.unit.processes import wait_for_end

FILE = '{file = "canary_password"}'
PRINTED = "tops3cret-of-the-program"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Nothing has been asked yet, nor is it known to later tests."""
    secret_command.printed.cache_clear()
    yield
    secret_command.printed.cache_clear()


def profile_by(folder: Path, words: str) -> Path:
    profile = write_profile(folder)
    text = profile.read_text(encoding="utf-8")
    profile.write_text(text.replace(FILE, f"{{command = {words}}}", 1), encoding="utf-8")
    return profile


def script(folder: Path, text: str) -> str:
    program = folder / "tell"
    program.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    program.chmod(0o755)
    return '["./tell", "a b"]'


def test_it_is_what_the_program_prints_once_a_process(tmp_path: Path) -> None:
    words = script(tmp_path, f'echo "$1" >> asked; echo noise >&2; printf "%s\\n" "{PRINTED}"')
    profile = profile_by(tmp_path, words)
    for _ in range(2):
        password = load_target(profile).application.canary.password
        assert password.get_secret_value() == PRINTED
        assert PRINTED not in repr(password)
    # In the profile's folder, each word as it is.
    assert (tmp_path / "asked").read_text(encoding="utf-8") == "a b\n"
    assert PRINTED in known_secrets()


@pytest.mark.parametrize(
    ("text", "observed"),
    [
        (f"echo {PRINTED}; echo {PRINTED} >&2; exit 3", "exit code 3 of ./tell"),
        ("exit 0", "nothing printed by ./tell"),
        ("printf '\\377\\376'", "other bytes from ./tell"),
        ("head -c 70000 /dev/zero | tr '\\0' x", "more from ./tell"),
        ("kill -9 $$", "exit code -9 of ./tell"),
    ],
)
def test_what_went_wrong_is_told_without_its_words(
    tmp_path: Path, text: str, observed: str, capfd: pytest.CaptureFixture[str]
) -> None:
    profile = profile_by(tmp_path, script(tmp_path, text))
    with pytest.raises(UsageProblem) as raised:
        load_target(profile)
    said = str(raised.value)
    assert "application.canary.password: expected" in said
    assert f"observed {observed}" in said
    assert "HINT: run it by hand" in said
    assert PRINTED not in said + "".join(capfd.readouterr())


def test_it_has_a_deadline_with_all_that_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = tmp_path / "pid"
    text = f"sleep 3600 & echo $! > {pid}.part; mv {pid}.part {pid}; echo {PRINTED}; sleep 3600"
    profile = profile_by(tmp_path, script(tmp_path, text))
    for seconds in (0.5, 30):  # on a busy machine a shell may not have begun within the first
        monkeypatch.setattr(secret_command, "SECONDS", seconds)
        with pytest.raises(UsageProblem, match=rf"\./tell still running after {seconds:g} s"):
            load_target(profile)
        if pid.exists():
            break
    wait_for_end(int(pid.read_text()))


@pytest.mark.parametrize(
    ("words", "observed"),
    [
        ('["no-such-program-x"]', "no-such-program-x"),
        ("[]", "a list"),
        ('"sops -d x"', "text"),
        ('["sops", 3]', "a list"),
        ('[""]', "a list"),
        ('["a\\u0000b"]', "ValueError"),
    ],
)
def test_what_is_no_command_is_told(tmp_path: Path, words: str, observed: str) -> None:
    with pytest.raises(UsageProblem, match=observed) as raised:
        load_target(profile_by(tmp_path, words))
    assert "application.canary.password: expected" in str(raised.value)
