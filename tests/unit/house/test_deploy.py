"""The runbook's own commands: a script for every service and store of LAYRA's shape, each a few lines."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT

SCRIPTS = sorted((ROOT / "deploy" / "rollback").glob("*.sh"))
COMMANDS = {"backup": "backup", "monitor_migration": "monitor"}


def _names(profile: str) -> tuple[set[str], set[str]]:
    read = tomllib.loads((ROOT / "targets" / f"{profile}.toml").read_text(encoding="utf-8"))
    return set(read["application"]["services"]), set(read["stores"])


def test_every_service_and_store_of_the_runbook_has_its_script() -> None:
    names = {script.stem for script in SCRIPTS}
    services, stores = _names("layra")
    wanted = {f"service_{name}" for name in services} | {f"db_{name}" for name in stores}
    assert names == wanted | {"emergency_rollback"}


@pytest.mark.parametrize(("name", "command"), COMMANDS.items())
def test_a_script_of_the_checklist_is_its_command(name: str, command: str) -> None:
    script = ROOT / "deploy" / "scripts" / f"{name}.sh"
    assert os.access(script, os.X_OK)
    text = script.read_text(encoding="utf-8")
    assert text.endswith(f'/.venv/bin/rollproof" {command} "$@"\n')
    assert re.search(r"^set -eu$", text, re.MULTILINE)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_passes_its_arguments_on(script: Path, tmp_path: Path) -> None:
    services, stores = _names("staging")
    kind, _, name = script.stem.partition("_")
    assert name in {"service": services, "db": stores}.get(kind, {"rollback"})
    # The same script beside a program that prints what it is given.
    beside = tmp_path / "deploy" / "rollback" / script.name
    beside.parent.mkdir(parents=True)
    beside.write_bytes(script.read_bytes())
    beside.chmod(script.stat().st_mode)
    interpreter = tmp_path / ".venv" / "bin" / "rollproof"
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text(f'#!/bin/sh\nexec {sys.executable} -c "import sys; print(sys.argv[1:])" "$@"\n')
    interpreter.chmod(0o755)
    assert os.access(script, os.X_OK)
    done = subprocess.run(
        [str(beside), "--target=a b", "x"], capture_output=True, text=True, timeout=60, check=True
    )
    command = {"service": ["service", name], "db": ["database", name]}.get(kind, ["emergency"])
    expected = ["rollback", *command, "--target=a b", "x"]
    assert done.stdout.strip() == str(expected)
    assert re.search(r"^set -eu$", script.read_text(), re.MULTILINE)
