"""A store of another distribution holds the contract, where nothing else says that it is there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.unit.toy_store.conftest import INSTALLED


def test_the_store_holds_the_contract(tmp_path: Path) -> None:
    contract = ROOT / "rollproof/contract"
    words = (
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
        f"--confcutdir={contract}",
        "--pyargs",
        "rollproof.contract",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "-k", "folder"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(INSTALLED)])},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "17 passed, 4 deselected" in done.stdout
