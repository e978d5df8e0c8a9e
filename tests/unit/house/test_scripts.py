"""The runbook's own commands: thin, and at home wherever they are typed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[3] / "deploy"
SCRIPTS = sorted(DEPLOY.glob("*/*.sh"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_profile_is_looked_for_where_it_is_typed(script: Path, tmp_path: Path) -> None:
    root, here = tmp_path / "check out", tmp_path / "here"
    copy = root / script.relative_to(DEPLOY.parent)
    copy.parent.mkdir(parents=True)
    shutil.copy2(script, copy)
    (root / "rollback_actions").mkdir()
    python = root / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$PWD" "$PYTHONPATH" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    here.mkdir()
    done = subprocess.run(
        [str(copy), "a b", "--target=targets/x.toml"],
        cwd=here,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": "/more"},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    where, path, *arguments = done.stdout.splitlines()
    assert (where, path) == (str(here), f"{root}:/more")
    assert arguments[:3] == ["-P", "-m", "rollback_actions"]
    assert arguments[-2:] == ["a b", "--target=targets/x.toml"]
