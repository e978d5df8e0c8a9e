"""Profiles: what loads; what a hint has to type for the target of a command line."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from rollproof import home
from rollproof.cli.after_commands import pytest_words
from rollproof.profile.profile import load_target
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("ROLLPROOF_"):
            monkeypatch.delenv(name)


def test_a_profile_loads_with_paths_relative_to_itself(
    profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    target = load_target(profile)
    assert target.folders.incidents == profile.parent / "incidents"
    assert target.services == ("backend", "redis")


def test_the_environment_overrides_one_key(profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLPROOF_APPLICATION__URL", "http://127.0.0.1:8099")
    target = load_target(profile)
    assert target.application.url.port == 8099
    assert target.application.canary.user == "canary"


def test_a_secret_is_not_in_any_repr(profile: Path) -> None:
    target = load_target(profile)
    assert "s3cret-of-the-canary" not in repr(target) + str(target)
    assert target.secrets() == {"s3cret-of-the-canary"}


def test_layras_profile_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    path = ROOT / "targets" / "layra.toml"
    for name in re.findall(r'env = "(\w+)"', path.read_text(encoding="utf-8")):
        monkeypatch.setenv(name, f"secret of {name}")
    target = load_target(path)
    assert {store.kind for store in target.stores.values()} == {
        "mysql", "mongodb", "redis", "qdrant", "milvus", "s3", "kafka",
    }  # fmt: skip


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
