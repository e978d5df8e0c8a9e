"""What people copy: the runbook's own commands, and workflows that end with the code of the gate."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

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


GITHUB, GITLAB = ROOT / "docs/ci/github-actions.yml", ROOT / "docs/ci/gitlab-ci.yml"


@pytest.mark.parametrize(("path", "schema", "more"), [
    (GITHUB, "vendor.github-workflows", ()),
    (GITLAB, "vendor.gitlab-ci", ("--data-transform=gitlab-ci",)),
])  # fmt: skip
def test_they_are_valid(path: Path, schema: str, more: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "check_jsonschema", f"--builtin-schema={schema}", *more, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _load(path: Path) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("path", [GITHUB, GITLAB], ids=lambda path: path.name)
def test_the_script_ends_with_the_code_of_the_gate(path: Path, tmp_path: Path) -> None:
    """Also where a bundle was made after it, and where none could be."""
    workflow = _load(path)
    lines = (
        [workflow["jobs"]["gate"]["steps"][0]["run"]]
        if path == GITHUB
        else workflow["rollproof gate"]["script"]
    )
    (tmp_path / "rollproof").write_text(
        '#!/bin/sh\n[ "$1" = bundle ] && exit "$BUNDLED"\necho "{\\"result\\": $RESULT}"\nexit "$GATED"\n'
    )
    (tmp_path / "rollproof").chmod(0o755)
    # The first line of a script takes no path with a space.
    (tmp_path / "python").symlink_to(sys.executable)
    (tmp_path / "jq").write_text(
        f"#!{tmp_path / 'python'}\nimport json, sys\n"
        "found = json.load(open(sys.argv[3]))['result'] or {}\n"
        "print(found.get(sys.argv[2].split()[0].rpartition('.')[2], ''))\n"
    )
    (tmp_path / "gate.md").write_text("# Promote\n")
    (tmp_path / "jq").chmod(0o755)
    for gated, bundled, result, code in (
        (0, 0, '{"incident": "change-x", "page": "gate.md"}', 0),
        (1, 0, '{"incident": "change-x", "page": "gate.md"}', 1),
        (3, 1, '{"incident": "change-x", "page": "gate.md"}', 3),
        (0, 4, '{"incident": "change-x", "page": "gate.md"}', 4),
        (4, 0, "null", 4),
    ):
        environment = {
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "OUT": str(tmp_path / "out"),
            "COMMIT": "c",
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
            "CI_COMMIT_SHA": "c",
            "GATED": str(gated),
            "BUNDLED": str(bundled),
            "RESULT": result,
        }
        done = subprocess.run(
            ["bash", "-e", "-c", "\n".join(lines)], env=environment, timeout=60, check=False, cwd=tmp_path
        )
        assert done.returncode == code, (gated, bundled)
