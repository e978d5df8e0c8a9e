"""The house: arrows run one way, modules stay small, documents say what is there."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fixtures.errors import ExitCode
from fixtures.stages import PHASES
from tests.conftest import ROOT

ROOMS = {
    "checks": {"fixtures"},
    "fixtures": set(),
    "rollback_actions": {"fixtures"},
    "reports": {"fixtures"},
    "staging": {"fixtures", "rollback_actions", "reports"},
    # Not of the house: it measures the house, and makes projects as the tests do.
    "benchmarks": {"fixtures", "rollback_actions", "staging", "tests"},
}
MODULES = sorted(
    path for room in ROOMS for path in (ROOT / room).rglob("*.py") if "application" not in path.parts
)
LONGEST = 400


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    ours = _imports(path) & {*ROOMS, "tests"}
    assert ours <= ROOMS[room] | {room}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_checks_know_no_driver() -> None:
    drivers = {
        "docker",
        "pymysql",
        "pymongo",
        "redis",
        "minio",
        "confluent_kafka",
        "qdrant_client",
        "pymilvus",
        "httpx",
    }
    for path in (ROOT / "checks").rglob("*.py"):
        assert not _imports(path) & drivers, path


def test_phase_1_is_collected_without_a_store_driver(tmp_path: Path) -> None:
    """The operator waits for the first check: what it does not need is not imported before it."""
    script = (
        "import sys, pytest\n"
        "pytest.main(['checks', '--collect-only', '-q', '-m', 'phase1', '--target', sys.argv[1]])\n"
        "drivers = {'pymysql', 'pymongo', 'redis', 'minio', 'confluent_kafka', 'qdrant_client', 'pymilvus',"
        " 'numpy', 'httpx', 'matplotlib'}\n"
        "print('IMPORTED', sorted(drivers & set(sys.modules)))\n"
    )
    from tests.conftest import write_profile  # noqa: PLC0415 - shares the sandbox's profile

    done = subprocess.run(
        [sys.executable, "-c", script, str(write_profile(tmp_path))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "IMPORTED []" in done.stdout, done.stdout + done.stderr


def test_the_readme_names_every_door_marker_and_exit_code() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in re.findall(
        r"^\[testenv:(.+)\]$", (ROOT / "tox.ini").read_text(encoding="utf-8"), re.MULTILINE
    ):
        assert f"./run {name}" in readme + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for phase in PHASES:
        assert f"| `{phase}` |" in readme
    for code in ExitCode:
        assert re.search(rf"^\| {code.value} \|", readme, re.MULTILINE), code


def test_the_lock_satisfies_what_is_declared() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*declared["project"]["dependencies"], *declared["dependency-groups"]["dev"]]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", lock, re.MULTILINE))
    for text in wanted:
        requirement = Requirement(text)
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{text} is not in requirements.lock"
        assert requirement.specifier.contains(version), f"{text}, locked {version}"


def test_no_registry_is_named() -> None:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    host = re.compile(r"https?://[a-z.]*(debian|pypi|pythonhosted|npmjs)[.]")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_file():
            assert not host.search(path.read_text(encoding="utf-8", errors="ignore")), name
