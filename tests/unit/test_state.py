"""The state folder: secrets that stay, and are nobody else's to read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fixtures.errors import UsageProblem
from staging.stack import Stack
from staging.state import SECRETS, State

COMPOSE = Path(__file__).parents[2] / "staging" / "compose.yaml"

# Where the team is told of a change: an address, which the profile treats as a secret.
CHANNEL = "team_channel"


def test_secrets_are_made_once(tmp_path: Path) -> None:
    state = State(tmp_path / ".staging")
    state.prepare()
    before = {path.name: path.read_text() for path in state.secrets.iterdir()}
    assert sorted(before) == sorted([*SECRETS, CHANNEL])
    assert len(set(before.values())) == len(before)
    state.prepare()
    assert {path.name: path.read_text() for path in state.secrets.iterdir()} == before


def test_secrets_are_private_and_plain(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.prepare()
    for path in state.secrets.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        # Stores read them in SQL, JSON and shell: no quoting is ever needed.
        assert path.name == CHANNEL or re.fullmatch(r"[\w-]{32}", path.read_text())


def test_the_compose_file_gets_every_secret_and_no_other() -> None:
    assert sorted(re.findall(r"/secrets/(\w+)\"", COMPOSE.read_text())) == sorted(SECRETS)


def test_the_settings_for_compose_hold_no_secret(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.prepare()
    text = state.environment.read_text()
    assert f"STAGING_STATE={tmp_path}\n" in text
    assert not [path for path in state.secrets.iterdir() if path.read_text() in text]


def test_the_builder_trusts_what_pip_trusts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "bundle.crt"
    bundle.write_text("certificates")
    monkeypatch.setenv("PIP_CERT", str(bundle))
    state = State(tmp_path / "state")
    state.prepare()
    assert state.certificates.read_text() == "certificates"
    monkeypatch.setenv("PIP_CERT", str(tmp_path / "none"))
    state.prepare()
    assert state.certificates.read_text() == ""


def test_official_images_add_their_compose_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack(tmp_path)
    monkeypatch.delenv("ROLLPROOF_IMAGES", raising=False)
    assert [file.name for file in stack.files] == ["compose.yaml"]
    monkeypatch.setenv("ROLLPROOF_IMAGES", "official")
    assert [file.name for file in stack.files] == ["compose.yaml", "compose.official.yaml"]
    monkeypatch.setenv("ROLLPROOF_IMAGES", "mine")
    with pytest.raises(UsageProblem, match="expected local or official, observed mine"):
        _ = stack.files
