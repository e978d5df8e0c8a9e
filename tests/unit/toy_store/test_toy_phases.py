"""A target whose one store is the toy store is captured, and verified by the four phases as any other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollproof.errors import ExitCode
from rollproof.runbook import PHASES
from tests.conftest import ROOT
from tests.fork_server import ForkServer
from tests.pytester.conftest import OPERATORS, SETTINGS, UNRENDERED
from tests.unit.application_stand_in import PASSWORD, Handler, running
from tests.unit.toy_store.application import DOCUMENTS, Answers
from tests.unit.toy_store.conftest import INSTALLED
from tests.unit.toy_store.made_up import put
from tests.unit.toy_store.other_application import APPLICATION as OTHER_APPLICATION
from tests.unit.toy_store.other_application import OtherAnswers
from tests.unit.toy_store.view import TOKENS

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
APPLICATION = """
[application.canary]
user = "canary"
password = {file = "canary_password"}
knowledge_base = "canary_1"
question = "Who keeps the light?"
expected_file = "lamp.txt"
[application.canary.sweeper]
store = "files"
account = {user = "sweeper", password = {file = "canary_password"}}
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

CAUGHT = """
    try:
        capture.capture(target, progress.step)
    except Exception as error:
        print("GAPS", error, *error.__notes__, sep=chr(10))
    sys.exit()
    capture.capture"""


@dataclass
class Project:
    """A target with its profile, and checks of the suite as they are."""

    folder: Path
    forks: ForkServer

    def python(self, module: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run Python where the distribution of the toy store is installed, and nothing else is told of it."""
        environment = self.environment() | variables
        done = self.forks.run(module, *arguments, folder=self.folder, environment=environment, seconds=600)
        return subprocess.CompletedProcess(done.args, done.returncode, done.stderr + done.stdout)

    def environment(self) -> dict[str, str]:
        """Return the environment of each run."""
        known = {name: value for name, value in os.environ.items() if not name.startswith("ROLLPROOF_")}
        path = os.pathsep.join([str(ROOT), str(INSTALLED)])
        return {**known, "PYTHONPATH": path, "PYTEST_ADDOPTS": OPERATORS}

    def phase(self, phase: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Verify one phase in a process of its own, as an operator does, with `variables` added."""
        return self.python("pytest", "-m", phase, "--target=profile.toml", "-rA", *arguments, **variables)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The target, captured as it is."""
    folder = tmp_path_factory.mktemp("toy")
    with _captured(folder, APPLICATION, Answers(folder / "store", PASSWORD)) as project:
        yield project


@contextmanager
def _captured(folder: Path, application: str, answers: dict[str, Handler]) -> Iterator[Project]:
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
    # The server has the distribution from its start, as an operator's run has.
    with running() as served, closing(ForkServer(path=[INSTALLED])) as forks:
        served.answers = answers
        (folder / "profile.toml").write_text(TARGET.format(url=served.url, application=application))
        project = Project(folder, forks)
        captured = project.python("-c", CAPTURE, "profile.toml")
        assert captured.returncode == 0, captured.stdout
        yield project


def _git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=Toy", "-c", "user.email=toy@example.org"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True)


def test_the_four_phases_verify_it(project: Project) -> None:
    for phase in PHASES:
        done = project.phase(phase)
        assert done.returncode == ExitCode.VERIFIED, done.stdout
        if phase != "phase1":
            assert "files" in done.stdout, phase
    assert list((project.folder / "store" / TOKENS).iterdir()) == []


BAD = """
from dataclasses import replace
from rollproof.errors import ActionFailed
from tests.unit.toy_store.view import View

def paused(self, service):
    well = healthy(self, service)
    return replace(well, status="paused", running=False) if service == "backend" else well

def silent(self):
    raise ActionFailed(what="store", expected="an answer", observed="none", source="x", hint="start it")

healthy = StandInEngine._container
StandInEngine._container = paused
View.ask = silent
"""


def test_a_capture_says_all_that_is_missing_at_once(project: Project) -> None:
    profile = (project.folder / "profile.toml").read_text()
    wrong = profile.replace("lamp.txt", "absent.txt").replace(
        "[application]", '[application]\ninterface = "/nowhere.json"'
    )
    (project.folder / "wrong.toml").write_text(wrong)
    before = sorted(path.name for path in (project.folder / "baselines").iterdir())
    script = CAPTURE.replace("with Progress", f"{BAD}with Progress").replace("    capture.capture", CAUGHT)
    done = project.python("-c", script, "wrong.toml")
    gaps = done.stdout.split("GAPS\n")[-1]
    whats = [line.partition(":")[0] for line in gaps.splitlines() if ": expected " in line]
    assert whats == ["services of the target", "store", "the canary's question", "application"], done.stdout
    assert "HINT: docker unpause toy-backend" in gaps
    assert "HINT: application.interface in the profile" in gaps
    assert sorted(path.name for path in (project.folder / "baselines").iterdir()) == before


def test_what_is_another_in_it_is_found_and_named(project: Project) -> None:
    document = project.folder / "store" / DOCUMENTS / "other.txt"
    before = document.read_bytes()
    put(document, b"Somebody wrote this.")
    try:
        done = project.phase("phase4", "--no-gate")
    finally:
        put(document, before)
    assert done.returncode == ExitCode.FAILED, done.stdout
    assert "files/documents" in done.stdout
    assert "other.txt" in done.stdout


@pytest.mark.parametrize("name", ["kb-7", "left-over"])
def test_a_collection_that_users_make_is_named_and_is_no_fault(project: Project, name: str) -> None:
    made = project.folder / "store" / name
    made.mkdir()
    try:
        put(made / "mine.txt", b"Somebody's own.")
        done = project.phase("phase4", "--no-gate")
    finally:
        shutil.rmtree(made)
    if name == "kb-7":
        assert done.returncode == ExitCode.VERIFIED, done.stdout
        assert "made by users since the baseline, and not compared: kb-7" in done.stdout
    else:
        assert "test_store_holds_no_unrecorded_collection[files]" in _red(done)
        assert "collections of files that the baseline does not know" in done.stdout


def test_where_it_is_not_installed_its_kind_is_refused(project: Project) -> None:
    load = "from pathlib import Path; from rollproof.profile.profile import load_target as load"
    load += "; load(Path('profile.toml'))"
    known = project.python("-c", load)
    assert known.returncode == 0, known.stdout
    unknown = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.remove({str(INSTALLED)!r}); {load}"],
        cwd=project.folder,
        env=project.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    assert "stores.files.kind: expected 'kafka', 'milvus'" in unknown.stdout
    assert "observed 'folder'" in unknown.stdout


def test_an_application_with_another_api_is_described_and_verified(tmp_path: Path) -> None:
    answers = OtherAnswers(tmp_path / "store", PASSWORD)
    with _captured(tmp_path, OTHER_APPLICATION, answers) as project:
        for phase in PHASES:
            done = project.phase(phase)
            assert done.returncode == ExitCode.VERIFIED, done.stdout
            if phase == "phase3":
                assert "test_chat_answers_right" in done.stdout
                # What it does not describe is not verified, and said.
                assert "test_old_conversations_open" not in done.stdout
                assert "test_upload_is_taken_in" in done.stdout
                (limits,) = (tmp_path / "incidents").glob("*/known-limits.md")
                text = limits.read_text()
                assert "function conversations of the application: undescribed" in text
                assert "function chat " not in text
        assert list((tmp_path / "store" / TOKENS).iterdir()) == []
        assert len([*(tmp_path / "store" / DOCUMENTS).iterdir()]) == 2

        answers.ends = False
        red = _red(project.phase("phase3", "--no-gate"))
        assert {name for name in red if "chat" in name} == {"test_chat_comes_to_its_end"}
        answers.ends, answers.takes_in = True, False
        impatient = project.phase("phase3", "--no-gate", ROLLPROOF_APPLICATION__UPLOAD_SECONDS="0.2")
        assert _red(impatient) == {"test_upload_is_taken_in"}
        assert "expected listed within 0.2 s, observed not listed" in impatient.stdout
        answers.takes_in, answers.words = True, ("Nobody", "knows.")
        assert _red(project.phase("phase3", "--no-gate")) == {"test_chat_answers_right"}
        answers.words = ()
        put(tmp_path / "store" / DOCUMENTS / "third.txt", b"Not recorded.")
        assert "test_knowledge_base_holds_the_recorded_files" in _red(project.phase("phase3", "--no-gate"))
        (tmp_path / "store" / DOCUMENTS / "third.txt").unlink()
        # Of a name that nobody has, it still says that it does not know it.
        answers["GET /v2/people/anna/notes"] = lambda exchange: exchange.reply(200, [])
        assert _red(project.phase("phase3", "--no-gate")) == {"test_another_user_is_refused"}
        # A profile that describes less than at the capture verifies less, and is no measure.
        profile = (tmp_path / "profile.toml").read_text()
        begin, end = profile.index("[application.functions.chat]"), profile.index("[stores.files]")
        (tmp_path / "profile.toml").write_text(profile[:begin] + profile[end:])
        done = project.phase("phase1", "--no-gate")
        assert done.returncode == ExitCode.BROKEN, done.stdout
        assert "functions.chat." in done.stdout


def _red(done: subprocess.CompletedProcess[str]) -> set[str]:
    """Return the names of the checks that did not pass."""
    assert done.returncode == ExitCode.FAILED, done.stdout
    results = done.stdout.splitlines()
    lines = [line for line in results if line.startswith(("FAILED ", "ERROR ")) and "::" in line]
    return {line.partition("::")[2].partition(" ")[0] for line in lines}
