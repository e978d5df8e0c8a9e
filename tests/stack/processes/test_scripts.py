"""The runbook's own commands: thin, and at home wherever they are typed."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[3] / "deploy"
SCRIPTS = sorted(DEPLOY.glob("*/*.sh"))
COMMANDS = {
    "backup": ["backup"],
    "monitor_migration": ["monitor"],
    "emergency_rollback": ["rollback", "emergency"],
}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_profile_is_looked_for_where_it_is_typed(script: Path, tmp_path: Path) -> None:
    root, here = tmp_path / "check out", tmp_path / "here"
    copy = root / script.relative_to(DEPLOY.parent)
    copy.parent.mkdir(parents=True)
    shutil.copy2(script, copy)
    program = root / ".venv" / "bin" / "rollproof"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$PWD" "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    here.mkdir()
    done = subprocess.run(
        [str(copy), "a b", "--target=targets/x.toml"],
        cwd=here,
        env={"PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    where, *arguments = done.stdout.splitlines()
    assert where == str(here)
    kind, _, name = script.stem.partition("_")
    command = COMMANDS.get(script.stem) or [
        "rollback",
        *{"service": ["service", name], "db": ["database", name]}[kind],
    ]
    assert arguments == [*command, "a b", "--target=targets/x.toml"]


def test_every_service_and_store_of_the_runbook_has_its_script() -> None:
    layra = tomllib.loads((DEPLOY.parent / "targets" / "layra.toml").read_text(encoding="utf-8"))
    wanted = {f"service_{name}" for name in layra["application"]["services"]}
    wanted |= {f"db_{name}" for name in layra["stores"]}
    assert {script.stem for script in SCRIPTS} == wanted | set(COMMANDS)
