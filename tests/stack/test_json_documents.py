"""What programs get on the real stack: documents, and of a gate JUnit's file."""

from __future__ import annotations

import os
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from rollproof.errors import ExitCode
from rollproof.git.repository import git
from rollproof.profile.profile import Target
from rollproof.verdict import Verdict
from tests.stack.verifier import Verifier, patient
from tests.unit.command_line import read_document

pytestmark = pytest.mark.timeout(1200)
SQL = "-- nothing\nALTER TABLE chunks DROP COLUMN text;\n"


@pytest.fixture
def migration(target: Target, tmp_path: Path) -> str:
    """A commit with a migration that loses data; nothing checks it out."""
    repository = target.application.repository
    environment = {**os.environ, "GIT_INDEX_FILE": str(tmp_path / "index")}

    def run(*words: str, text: str = "") -> str:
        done = subprocess.run(
            ["git", "-C", str(repository), *words],
            env=environment,
            input=text,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout.strip()

    run("read-tree", "HEAD")
    blob = run("hash-object", "-w", "--stdin", text=SQL)
    run("update-index", "--add", "--cacheinfo", f"100644,{blob},lost.sql")
    identity = ("-c", "user.name=Release Manager", "-c", "user.email=releases@example.org")
    return git(repository, *identity, "commit-tree", run("write-tree"), "-p", "HEAD", "-m", "Lose it")


@pytest.mark.long(minutes=2)
def test_programs_get_what_people_read(verifier: Verifier, migration: str, tmp_path: Path) -> None:
    def found(*words: str, code: ExitCode = ExitCode.VERIFIED) -> Any:  # noqa: ANN401 - of any command
        done = verifier.actions(*words, "--json", **patient())
        assert done.returncode == code, done.stdout + done.stderr
        return read_document(done.stdout, done.stderr, code).result

    assert found("plan", "--whole").plan.steps
    comparison = found("compare", str(verifier.folder / "baselines" / "current"))
    assert comparison.verdict is Verdict.PASSED
    assert {finding.store for finding in comparison.findings} >= {"mysql", "mongodb", "qdrant"}

    junit = tmp_path / "junit.xml"
    # Nothing was backed up, and nobody was told.
    gate = found("gate", migration, f"--junit={junit}", code=ExitCode.FAILED)
    assert gate.verdict.verdict is Verdict.FAILED
    (suite,) = ET.parse(junit).getroot().iter("testsuite")  # noqa: S314 - our own
    told = {one.attrib["name"]: one.attrib["value"] for one in suite.findall("properties/property")}
    assert told == {"incident": gate.incident, "verdict": "failed", "record": gate.folder}
    assert suite.attrib["skipped"] == "0"
    verdicts = [
        case.attrib["value"] for case in suite.findall("testcase/properties/property[@name='verdict']")
    ]
    assert sorted(verdicts) == sorted(item.verdict.value for item in gate.items)
