"""Secrets that a program prints: once a process, with a deadline, and never shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollproof.errors import UsageProblem
from rollproof.profile.profile import load_target
from rollproof.redaction import secret
from rollproof.redaction.secret import known_secrets
from tests.conftest import write_profile

FILE = '{file = "canary_password"}'
PRINTED = "tops3cret-of-the-program"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Nothing has been asked yet, nor is it known to later tests."""
    secret.printed.cache_clear()
    yield
    secret.printed.cache_clear()


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
        ("exit 0", "nothing, no UTF-8"),
        ("printf '\\377\\376'", "nothing, no UTF-8"),
        ("head -c 70000 /dev/zero | tr '\\0' x", "nothing, no UTF-8"),
        ("kill -9 $$", "exit code -9 of ./tell"),
    ],
)
def test_a_failure_is_reported_without_the_words_of_the_program(
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


def test_it_has_a_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret, "SECONDS", 0.5)
    # A process that it has started may run on, and must not be waited for.
    profile = profile_by(tmp_path, script(tmp_path, f"sleep 5 & echo {PRINTED}; exec sleep 5"))
    with pytest.raises(UsageProblem, match=r"\./tell still running after 0\.5 s"):
        load_target(profile)


@pytest.mark.parametrize(
    ("words", "observed"),
    [
        ('["no-such-program-x"]', "no-such-program-x"),
        ("[]", "a table of 1 key"),
        ('"sops -d x"', "a table of 1 key"),
        ('["sops", 3]', "a table of 1 key"),
        ('["a\\u0000b"]', "ValueError"),
    ],
)
def test_what_is_no_command_is_refused(tmp_path: Path, words: str, observed: str) -> None:
    with pytest.raises(UsageProblem, match=observed) as raised:
        load_target(profile_by(tmp_path, words))
    assert "application.canary.password: expected" in str(raised.value)
