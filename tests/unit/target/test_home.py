"""What a hint has to type: the command `rollproof`, for the target of this command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollproof import home
from rollproof.cli.after_commands import pytest_words
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def nobody_named_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "_named", [])
    monkeypatch.setattr("sys.argv", ["rollproof"])


TARGETED = ["capture", "rollback emergency COMMIT", "verify phase1 phase2", "report FOLDER"]
# What names a target already, and what takes none.
UNTARGETED = [
    "gate abc --target PROFILE",
    "report one --target=…",
    "verify --help",
    "init --project NAME",
    "verify-bundle x",
]


@pytest.mark.parametrize(
    "line", [["--target=a b.toml"], ["--target", "a b.toml"], ["--target=x", "--target=a b.toml"]]
)
@pytest.mark.parametrize("command", [*TARGETED, *UNTARGETED])
def test_a_hint_names_the_target_of_the_command_line(
    command: str, line: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the next command has none, or worse, another one: that of the environment."""
    monkeypatch.setenv("ROLLPROOF_TARGET", "other.toml")
    monkeypatch.setattr("sys.argv", ["rollproof", "plan", *line, "--json"])
    plain = f"rollproof {command}"
    named = f"{plain} --target='{Path.cwd()}/a b.toml'" if command in TARGETED else plain
    assert home.typed(command) == named
    monkeypatch.setattr("sys.argv", ["rollproof", "plan", "--json"])
    assert home.typed(command) == plain
    # A worker of pytest has a command line of its own, and is given the profile.
    home.name_target("a b.toml")
    assert home.typed(command) == named
    home.name_target("")
    monkeypatch.setattr("sys.argv", ["pytest", *line])
    assert home.typed(command) == plain


@pytest.mark.parametrize(
    ("typed", "rest"),
    [
        ([], ["-m", "verification"]),
        (["phase1"], ["-m", "phase1"]),
        (["phase1", "phase2", "-q"], ["-m", "phase1 or phase2", "-q"]),
        (["-m", "step1"], ["-m", "step1"]),
        (["-mphase1"], ["-mphase1"]),
        (["--migration", "HEAD", "-k", "x"], ["-m", "verification", "--migration=HEAD", "-k", "x"]),
        (["phase4", "--target", "a b.toml"], ["-m", "phase4", "--target=a b.toml"]),
        (
            ["--target=a.toml", "--baseline", "b", "-n", "2"],
            ["-m", "verification", "--target=a.toml", "--baseline=b", "-n", "2"],
        ),
    ],
)
def test_verify_is_pytest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: list[str], rest: list[str]
) -> None:
    # In a folder without a profile, by somebody who has set nothing.
    monkeypatch.delenv("ROLLPROOF_TARGET", raising=False)
    monkeypatch.chdir(tmp_path)
    ours = [f"--rootdir={ROOT}", f"--config-file={ROOT / 'pyproject.toml'}", "-p", "rollproof.plugin"]
    assert pytest_words(typed) == [*ours, *rest]
