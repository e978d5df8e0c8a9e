"""The runs of a fleet: what each is taken for, how many run at once, and Ctrl-C at any instant."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rollproof.system.process import Process
from tests.conftest import ROOT

INTERRUPTED = "it was planned and never reported"


def run(folder: Path, at_once: int, *names: str) -> Any:  # noqa: ANN401 - JSON
    """Return what a toy fleet found, from a process with one thread."""
    command = [sys.executable, "-m", "tests.stack.processes.toy_fleet", str(folder), str(at_once), *names]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(ran.stdout)


def test_a_target_passes_only_by_its_own_report_and_its_exit_code(tmp_path: Path) -> None:
    names = ("passes", "fails", "silent", "silent.1", "raises", "dies")
    found = run(tmp_path, 3, *names)
    verdicts = {name: outcome["verdict"] for name, outcome in found["outcomes"].items()}
    assert verdicts == dict.fromkeys(names, "broken") | {"passes": "passed", "fails": "failed"}
    assert (found["interrupted"], found["most"]) == (False, 3)
    assert found["outcomes"]["fails"]["end"]["cause"] == "a loss"
    assert found["outcomes"]["silent"]["last"] == ["it says", "what it does"]
    assert found["outcomes"]["raises"]["last"][-1] == "ValueError: out of order"
    logs = [*tmp_path.glob("*.log")]
    assert {path.name for path in logs} == {f"{name}.log" for name in names}
    assert {path.stat().st_mode & 0o777 for path in logs} == {0o600}


@pytest.mark.parametrize("once", ["interrupts", "insists"], ids=["once", "twice"])
def test_ctrl_c_ends_all_and_none_is_missing(once: str, tmp_path: Path) -> None:
    found = run(tmp_path, 2, "stays", once, "passes")
    assert found["interrupted"] is True
    assert {name: outcome["verdict"] for name, outcome in found["outcomes"].items()} == dict.fromkeys(
        ("stays", once, "passes"), "broken"
    )
    causes = [outcome["end"]["cause"] for outcome in found["outcomes"].values()]
    assert causes == ["", INTERRUPTED, "interrupted before it began"]
    assert Process.of(int((tmp_path / "pid").read_text())) is None


def test_ctrl_c_in_the_instant_after_a_fork_reaches_it(tmp_path: Path) -> None:
    found = run(tmp_path, 2, "waits", "passes")
    assert found["interrupted"] is True
    causes = [outcome["end"]["cause"] for outcome in found["outcomes"].values()]
    assert causes == [INTERRUPTED, "interrupted before it began"]
