"""The state folder: secrets that stay, and are nobody else's to read."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from staging.stack.shape import Shape
from staging.stack.slot import SLOTS, Slot
from staging.stack.stack import Stack
from staging.stack.stack_state import SECRETS, State
from tests.conftest import ROOT

# Where the team is told of a change: an address, which the profile treats as a secret.
CHANNEL = "team_channel"


def test_secrets_are_made_once(tmp_path: Path) -> None:
    state = State(tmp_path / ".staging", Slot(), tmp_path)
    state.prepare()
    before = {path.name: path.read_text() for path in state.secrets.iterdir()}
    assert sorted(before) == sorted([*SECRETS, CHANNEL])
    assert len(set(before.values())) == len(before)
    state.prepare()
    assert {path.name: path.read_text() for path in state.secrets.iterdir()} == before


def test_secrets_are_private_and_plain(tmp_path: Path) -> None:
    state = State(tmp_path, Slot(), tmp_path)
    state.prepare()
    for path in state.secrets.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        # Stores read them in SQL, JSON and shell: no quoting is ever needed.
        assert path.name == CHANNEL or re.fullmatch(r"[\w-]{32}", path.read_text())


def test_the_settings_for_compose_hold_no_secret(tmp_path: Path) -> None:
    state = State(tmp_path, Slot(), tmp_path)
    state.prepare()
    text = state.environment.read_text()
    assert f"STAGING_STATE={tmp_path}\n" in text
    assert not [path for path in state.secrets.iterdir() if path.read_text() in text]


def test_the_builder_trusts_what_pip_trusts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "bundle.crt"
    bundle.write_text("certificates")
    monkeypatch.setenv("PIP_CERT", str(bundle))
    state = State(tmp_path / "state", Slot(), tmp_path)
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


def test_slots_share_no_name_no_port_and_no_folder() -> None:
    slots = [Slot(number) for number in range(1, SLOTS + 1)]
    for names in (
        {slot.project for slot in slots},
        {slot.url_port for slot in slots},
        {slot.channel_port for slot in slots},
        {slot.folder(ROOT) for slot in slots},
        {slot.profile(ROOT) for slot in slots},
    ):
        assert len(names) == SLOTS
    ports = [digits for slot in slots for digits in (slot.ports, slot.scratch_ports)]
    assert len(set(ports)) == 2 * SLOTS
    # The kernel gives 32768 and above to outgoing connections.
    assert all(int(f"{digits}999") < 32768 for digits in ports)


def test_the_profile_of_another_slot_is_the_first_one_s_with_its_own_names(tmp_path: Path) -> None:
    (tmp_path / "targets").mkdir()
    shutil.copy(ROOT / Shape.USUAL.profile, tmp_path / Shape.USUAL.profile)
    slot = Slot(2)
    State(slot.folder(tmp_path), slot, tmp_path).prepare()
    first, second = (
        tomllib.loads(path.read_text(encoding="utf-8"))
        for path in (ROOT / Shape.USUAL.profile, slot.profile(tmp_path))
    )
    assert second["engine"]["project"] == slot.project != first["engine"]["project"]
    assert second["application"]["url"] == f"http://127.0.0.1:{slot.url_port}" != first["application"]["url"]
    state = str(slot.folder(tmp_path))
    assert second["application"]["repository"] == f"{state}/application"
    assert second["engine"]["env_file"] == f"{state}/compose.env"
    assert second["folders"]["incidents"] == f"{state}/incidents"
    (deploy,) = second["premigration"]["rehearsal"]["deploy"]
    assert deploy == [f"{tmp_path}/staging/deploy.sh", "{commit}", "--slot=2"]
    assert '"../' not in slot.profile(tmp_path).read_text(encoding="utf-8")
    assert first["references"] == second["references"]
