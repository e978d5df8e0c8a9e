"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parent.parent

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


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """A profile that loads; nothing of what it describes exists."""
    return write_profile(tmp_path)


def write_profile(folder: Path, more: str = "") -> Path:
    """Write a valid profile into `folder`, with `more` TOML at its end, and return its path."""
    (folder / "canary_password").write_text("s3cret-of-the-canary", encoding="utf-8")
    path = folder / "profile.toml"
    path.write_text(PROFILE + more, encoding="utf-8")
    return path


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `./run tests` insist on the stack, and on a browser."""
    parser.addoption("--require-browser", action="store_true", help="fail, not skip, without Chromium")
    parser.addoption("--require-stack", action="store_true", help="fail, not skip, without a staging stack")
    parser.addoption("--today", action="store_true", help="of the longest stack tests only those of today")


def pytest_configure(config: pytest.Config) -> None:
    """Let a warning fail a test; a check must not be red because a library is about to change."""
    config.addinivalue_line("filterwarnings", "error")
    # That pytest cannot clear the folder of an earlier run is no fault of a test.
    config.addinivalue_line("filterwarnings", r"ignore:\(rm_rf\) error removing:pytest.PytestWarning")
