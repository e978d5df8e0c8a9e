"""The wheel: built, installed into an environment of its own, used elsewhere by a user who is not root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollproof.errors import ExitCode
from tests.conftest import ROOT, write_profile
from tests.running.cut import VARIANT

NOBODY = 65534
# Root's interpreter may lie in root's home: nobody may read everything here, and write nothing.
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)
ROOMS = ("checks", "fixtures", "reports", "rollback_actions")


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and a working folder of a user who is not root, without a checkout."""

    python: Path
    folder: Path

    def run(self, *words: str, folder: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command of that environment in the working folder; `more` are variables."""
        return subprocess.run(
            [*(AS_NOBODY if os.getuid() == 0 else ()), str(self.python.with_name(words[0])), *words[1:]],
            cwd=folder or self.folder,
            env={"PATH": f"{self.python.parent}:/usr/bin:/bin", "HOME": str(self.folder), **more},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Iterator[Installed]:
    """The wheel, installed next to the libraries of this environment, in a folder that anybody may read."""
    folder = Path(f"/tmp/rollproof-wheel-{os.getpid()}")  # noqa: S108 - pytest's own folder is its user's alone
    folder.mkdir(mode=0o755)
    try:
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True, timeout=120
        )
        python = folder / "venv" / "bin" / "python"
        site = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")}))
        # In place of what an index would give, which takes minutes.
        (site / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
        uv = Path(sys.executable).with_name("uv")
        subprocess.run(
            [
                str(uv),
                "pip",
                "install",
                "--quiet",
                "--offline",
                "--no-deps",
                # Else each start compiles again: its user may write nothing there.
                "--compile-bytecode",
                "--python",
                str(python),
                str(wheel),
            ],
            check=True,
            timeout=120,
        )
        work = folder / "work"
        work.mkdir()
        write_profile(work)
        if os.getuid() == 0:
            os.chown(work, NOBODY, NOBODY)
        yield Installed(python, work)
    finally:
        shutil.rmtree(folder)


def test_it_has_one_name_of_its_own_and_all_that_runs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in names} == {"rollproof"}
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", *ROOMS],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    files = {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    suite = {name.removeprefix("rollproof/suite/") for name in names if name.startswith("rollproof/suite/")}
    assert suite == files | {"conftest.py", "pyproject.toml"}


@pytest.mark.parametrize(
    "words",
    [
        ["rollproof", "verify", "phase1", "--target", "profile.toml"],
        pytest.param(
            [
                *("python", "-m", "pytest", "-p", "no:cacheprovider", "-m", "phase1"),
                *("rollproof.checks", "--target=profile.toml"),
            ],
            marks=VARIANT,
        ),
    ],
    ids=["verify", "pytest itself"],
)
def test_it_verifies_from_any_folder(installed: Installed, words: list[str]) -> None:
    done = installed.run(*words, "-q", DOCKER_HOST="unix:///nonexistent/docker.sock")
    assert done.returncode == ExitCode.BROKEN, done.stdout + done.stderr
    assert "BROKEN: not everything could be verified (sandbox, without a rollback)" in done.stdout
    assert "HINT: capture one before the next migration: rollproof capture" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert list((installed.folder / "incidents").glob("*/verdict.json"))
