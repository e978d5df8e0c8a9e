"""The runs of a fleet: what each is taken for, Ctrl-C at any instant, and the whole command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from rollproof.errors import ExitCode
from rollproof.system.process import Process
from tests.conftest import ROOT, write_profile

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


SECRET = "s3cret-of-the-canary"  # noqa: S105 - of `write_profile`


def verify(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command in `folder`."""
    command = [sys.executable, "-m", "rollproof", "verify", *words]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def test_each_target_has_its_record_its_log_and_its_junit_file(tmp_path: Path) -> None:
    profile = write_profile(tmp_path)
    text = profile.read_text(encoding="utf-8")
    profile.unlink()
    for name in ("books", "shop"):
        # The first cause names the folder of the baseline.
        changed = text.replace('name = "sandbox"', f'name = "{name}"').replace('"baselines"', f'"{SECRET}"')
        (tmp_path / f"{name}.toml").write_text(changed, encoding="utf-8")
    (tmp_path / "typo.toml").write_text('name = "typo"\nengin = 1\n', encoding="utf-8")
    ran = verify(tmp_path, "phase1", "--targets", "*.toml", "--output", "out", "--junitxml", "junit")
    assert ran.returncode == ExitCode.BROKEN, ran.stdout + ran.stderr
    lines = ran.stdout.splitlines()
    assert {line[:16] for line in lines[1:4]} == {"broken  books   ", "broken  shop    ", "broken  typo    "}
    assert max(map(len, lines[:4])) <= 80
    assert lines[-1].startswith("BROKEN: 3 broken, of 3 targets in ")
    assert "  | ERROR: engin: " in ran.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "fleet.html", "books.log", "shop.log", "typo.log",
    }  # fmt: skip
    incidents = {path.name[17:-5]: path for path in (tmp_path / "incidents").iterdir()}
    assert {*incidents} == {"books", "shop"}
    page = (tmp_path / "out/fleet.html").read_text(encoding="utf-8")
    # Where Allure is installed, the link of a record is to its report.
    links = {link.removesuffix("/report.html") for link in re.findall(r'href="([^"]+)"', page)}
    records = {f"../incidents/{incident.name}" for incident in incidents.values()}
    assert links == {"books.log", "shop.log", "typo.log"} | records
    assert page.count(">not run<") == 3 * 2 + 4
    assert page.count("baseline: expected a baseline") == 2
    assert SECRET not in page + ran.stdout + ran.stderr
    for name, incident in incidents.items():
        suites = ET.parse(tmp_path / f"junit/{name}.xml")  # noqa: S314 - pytest's own
        of_suite = suites.find("testsuite/properties/property[@name='incident']")
        assert of_suite is not None
        assert of_suite.get("value") == incident.name


def test_ctrl_c_in_the_instant_after_a_fork_reaches_it(tmp_path: Path) -> None:
    found = run(tmp_path, 2, "waits", "passes")
    assert found["interrupted"] is True
    causes = [outcome["end"]["cause"] for outcome in found["outcomes"].values()]
    assert causes == [INTERRUPTED, "interrupted before it began"]
