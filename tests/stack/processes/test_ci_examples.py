"""The example workflows: valid by GitHub's and GitLab's schemas, of commands that there are, safe to copy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

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
