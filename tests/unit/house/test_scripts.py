"""The runbook's own commands: thin, and at home wherever they are typed."""

from __future__ import annotations

import re
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


def test_the_one_door_says_what_it_can_do(tmp_path: Path) -> None:
    root = DEPLOY.parent
    for name in ("run", "tox.ini", "requirements.lock"):
        shutil.copy2(root / name, tmp_path / name)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("pytest", "tox"):
        (programs / name).write_text('#!/bin/sh\nprintf "tox %s\\n" "$*"\n', encoding="utf-8")
        (programs / name).chmod(0o755)
    stamp = 'printf "%s compiled, installed" "$(cksum <requirements.lock)" >.venv/rollproof-lock'
    subprocess.run(["sh", "-c", stamp], cwd=tmp_path, check=True, timeout=60)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        door = [str(tmp_path / "run"), *words]
        return subprocess.run(door, capture_output=True, text=True, check=False, timeout=60)

    for words in ((), ("--help",), ("-h",)):
        assert run(*words).stdout == "usage: ./run NAME [ARGUMENTS]\ntox list\n"
    unknown = run("rehersal")
    assert unknown.returncode == 4
    assert " lint, observed rehersal (from the command line)\nHINT: ./run " in unknown.stderr
    names = re.findall(r"^\[testenv:(.*)\]$", (root / "tox.ini").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(names) > 10
    for name in names:
        assert run(name, "a b").stdout == f"tox run --quiet --quiet -e {name} -- a b\n"
    for wrong in ("", "lint tests", "in"):
        assert run(wrong).returncode == 4
