"""Shared parts of all tests.

Pytest loads this file for an operator, too, who names a target that does not exist. It therefore imports
nothing that only developers have.
"""

from __future__ import annotations

import gc
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running.cut import VARIANT, Share, cut

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parent.parent
LONG = ROOT / "tests" / "long"
"""The tests of `./run tests --all` alone."""

PROFILE = """
name = "sandbox"
[engine]
kind = "compose"
project = "sandbox"
[folders]
incidents = "incidents"
baselines = "baselines"
backups = "backups"
[application]
url = "http://127.0.0.1:9"
services = ["backend"]
repository = "application"
[application.canary]
user = "canary"
password = {file = "canary_password"}
knowledge_base = "canary_1"
question = "Who keeps the light?"
expected_file = "lamp.txt"
[stores.redis]
kind = "redis"
address = {host = "127.0.0.1", port = 9}
services = ["redis"]
risk = "low"
reader = {user = "reader", password = {file = "canary_password"}}
operator = {user = "operator", password = {file = "canary_password"}}
"""


@pytest.fixture(scope="session", autouse=True)
def left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder for temporary files and state of the tests, and of all that they start: pytest clears it."""
    # A short name: sockets are made there.
    folder = tmp_path_factory.getbasetemp() / "t"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TMPDIR", str(folder))
        patched.setenv("XDG_STATE_HOME", str(folder / "state"))
        patched.setattr(tempfile, "tempdir", str(folder))
        yield folder


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """A profile that loads; everything it describes is missing."""
    return write_profile(tmp_path)


@pytest.fixture
def terminal_can_be_lost() -> Iterator[None]:
    """Let what a test starts end by SIGHUP, also where `nohup` has it ignored for the tests."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def write_profile(folder: Path, more: str = "") -> Path:
    """Write a valid profile into `folder`, with `more` TOML at its end; return its path."""
    (folder / "canary_password").write_text("s3cret-of-the-canary", encoding="utf-8")
    path = folder / "profile.toml"
    path.write_text(PROFILE + more, encoding="utf-8")
    return path


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options by which `./run tests` requires the stack, and chooses long tests."""
    parser.addoption("--require-stack", action="store_true", help="fail, not skip, without a staging stack")
    parser.addoption("--long", metavar="K/N", help="run that part of the long tests too: 1/1 is all")


def pytest_configure(config: pytest.Config) -> None:
    """Make warnings fail tests, but not checks: a library's coming change must not turn a check red.

    Ctrl-C is heard, also where a shell's background job has it ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("filterwarnings", "error")
    # Of Kafka's library, on Python 3.11 and 3.12.
    config.addinivalue_line("filterwarnings", "ignore:(read|open)_text is deprecated:DeprecationWarning")
    # If pytest cannot clear an earlier run's folder, no test is at fault.
    config.addinivalue_line("filterwarnings", r"ignore:\(rm_rf\) error removing:pytest.PytestWarning")
    config.addinivalue_line(
        "markers",
        "long(minutes=…): a walk, a long clock, or a variant of another test; of `--all` alone",
    )


def pytest_collection_finish() -> None:
    """Leave what was collected, and all that was imported, out of every later collection of garbage."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose the long tests that ``--long`` asks for; the others are of its first part."""
    for item in items:
        if item.path.is_relative_to(LONG) and item.get_closest_marker("long") is None:
            item.add_marker(VARIANT)
    markers = {item.nodeid: item.get_closest_marker("long") for item in items}
    long = {test: float(marker.kwargs["minutes"]) for test, marker in markers.items() if marker is not None}
    share = Share.read(config.getoption("long")) if config.getoption("long") else None
    chosen = cut(long, share.of)[share.number - 1] if share else set()

    def wanted(item: pytest.Item) -> bool:
        if item.nodeid in long:
            return item.nodeid in chosen
        return share is None or share.first

    config.hook.pytest_deselected(items=[item for item in items if not wanted(item)])
    items[:] = filter(wanted, items)
