"""A target whose one store is the toy store is captured, and verified by the four phases as any other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollproof.errors import ExitCode
from rollproof.runbook import PHASES
from tests.conftest import ROOT
from tests.plugin_sandbox import OPERATORS, SETTINGS, UNRENDERED
from tests.unit.toy_store.application import APPLICATION, DOCUMENTS, TOKENS, Answers, put
from tests.unit.toy_store.conftest import INSTALLED
from tests.world.application import PASSWORD, running

TARGET = """
name = "toy"
engine = {{kind = "compose", project = "toy"}}
folders = {{incidents = "incidents", baselines = "baselines", backups = "backups"}}
limits = {{disk_free_percent = 0, inodes_free_percent = 0}}
[application]
url = "{url}"
services = ["backend"]
repository = "application"
{application}
[stores.files]
kind = "folder"
address = {{host = "127.0.0.1", port = 9}}
services = ["files"]
risk = "low"
folder = "store"
policy = {{tokens = "volatile"}}
made_by_users = ["kb-*"]
"""
ENGINE = """
import pytest
from tests.unit.toy_store.engine import StandInEngine

@pytest.fixture(scope="session")
def engine(target):
    return StandInEngine(target)
"""
CAPTURE = """
import sys
from pathlib import Path
from rollproof.profile.profile import load_target
from rollproof.doctor import capture
from reports.terminal.progress import Progress
from tests.unit.toy_store.engine import StandInEngine

target = load_target(Path(sys.argv[1]))
capture.open_engine = lambda _: StandInEngine(target)
with Progress() as progress:
    capture.capture(target, progress.step)
"""


@dataclass
class Project:
    """A target with its profile and its application, and checks of the suite as they are."""

    folder: Path
    application: Answers

    def python(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run Python where the distribution of the toy store is installed, and nothing else is told of it."""
        return subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env=self.environment() | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )

    def environment(self) -> dict[str, str]:
        """Return the environment of each run."""
        known = {name: value for name, value in os.environ.items() if not name.startswith("ROLLPROOF_")}
        path = os.pathsep.join([str(ROOT), str(INSTALLED)])
        return {**known, "PYTHONPATH": path, "PYTEST_ADDOPTS": OPERATORS}

    def phase(self, phase: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Verify one phase in a process of its own, as an operator does."""
        return self.python(
            "-m", "pytest", "-m", phase, "--target=profile.toml", "-rA", *arguments, **variables
        )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The target, captured as it is."""
    folder = tmp_path_factory.mktemp("toy")
    for name in (DOCUMENTS, TOKENS):
        (folder / "store" / name).mkdir(parents=True)
    put(folder / "store" / DOCUMENTS / "lamp.txt", b"The keeper keeps the light.")
    put(folder / "store" / DOCUMENTS / "other.txt", b"Nobody asks for this.")
    (folder / "canary_password").write_text(PASSWORD)
    (folder / "tide.txt").write_text("The tide comes in at noon.")
    repository = folder / "application"
    repository.mkdir()
    _git(repository, "init", "--quiet")
    _git(repository, "commit", "--quiet", "--allow-empty", "--message=Release 1")
    shutil.copytree(ROOT / "checks", folder / "checks", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "pyproject.toml").write_text(SETTINGS)
    wiring = (ROOT / "conftest.py").read_text(encoding="utf-8")
    (folder / "conftest.py").write_text(f"{wiring}{ENGINE}{UNRENDERED}", encoding="utf-8")
    with running() as served:
        served.answers = answers = Answers(folder / "store", PASSWORD)
        (folder / "profile.toml").write_text(TARGET.format(url=served.url, application=APPLICATION))
        project = Project(folder, answers)
        captured = project.python("-c", CAPTURE, "profile.toml")
        assert captured.returncode == 0, captured.stdout
        yield project


def _git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=Toy", "-c", "user.email=toy@example.org"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True)


def test_the_four_phases_verify_it_and_name_what_changed(project: Project) -> None:
    """A store of another distribution, and an application of another API: both are only described."""
    for phase in PHASES:
        done = project.phase(phase)
        assert done.returncode == ExitCode.VERIFIED, done.stdout
        assert phase == "phase1" or "files" in done.stdout, phase
        if phase == "phase3":
            assert "test_chat_answers_right" in done.stdout
            # What the profile does not describe is not verified, and that is said.
            assert "test_old_conversations_open" not in done.stdout
            (limits,) = (project.folder / "incidents").glob("*/postmortem.md")
            assert "function conversations of the application: undescribed" in limits.read_text()
    store, application = project.folder / "store", project.application
    assert list((store / TOKENS).iterdir()) == []
    assert len([*(store / DOCUMENTS).iterdir()]) == 2

    application.ends = application.takes_in = False
    application["GET /v2/people/anna/notes"] = lambda exchange: exchange.reply(200, [])
    put(store / DOCUMENTS / "third.txt", b"Not recorded.")
    impatient = project.phase("phase3", "--no-gate", ROLLPROOF_APPLICATION__UPLOAD_SECONDS="0.2")
    assert _red(impatient) == {
        "test_chat_answers_right",
        "test_chat_comes_to_its_end",
        "test_upload_is_taken_in",
        "test_another_user_is_refused",
        "test_knowledge_base_holds_the_recorded_files",
    }
    assert "expected listed within 0.2 s, observed not listed" in impatient.stdout

    (store / DOCUMENTS / "third.txt").unlink()
    put(store / DOCUMENTS / "other.txt", b"Somebody wrote this.")
    for name in ("kb-7", "left-over"):
        (store / name).mkdir()
        put(store / name / "mine.txt", b"Somebody's own.")
    done = project.phase("phase4", "--no-gate")
    assert "test_store_holds_no_unrecorded_collection[files]" in _red(done)
    assert "collections of files that the baseline does not know" in done.stdout
    *_, results = sorted((project.folder / "incidents").glob("*/ledger/*/results.jsonl"))
    assert "made by users since the baseline, and not compared: kb-7" in results.read_text()
    assert "other.txt" in results.read_text()


def _red(done: subprocess.CompletedProcess[str]) -> set[str]:
    """Return the names of the checks that did not pass."""
    assert done.returncode == ExitCode.FAILED, done.stdout
    results = done.stdout.splitlines()
    lines = [line for line in results if line.startswith(("FAILED ", "ERROR ")) and "::" in line]
    return {line.partition("::")[2].partition(" ")[0] for line in lines}
