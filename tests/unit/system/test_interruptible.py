"""A signal ends `rollproof` in a word, also while it imports what it runs with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollproof.errors import ExitCode
from rollproof.system.process import interruptible
from tests.conftest import ROOT

KILLS_ITSELF = "import os, signal, time\nos.kill(os.getpid(), signal.{name})\ntime.sleep(60)\n"


@pytest.fixture(autouse=True)
def _as_at_a_start() -> Iterator[None]:
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGTERM: signal.signal(signal.SIGTERM, signal.SIG_DFL),
        signal.SIGHUP: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_program_that_is_interrupted_says_so(
    capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    def program() -> int:
        signal.raise_signal(number)
        return 0

    assert interruptible(program) == ExitCode.INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"


def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def program() -> int:
        signal.raise_signal(signal.SIGHUP)
        return 7

    assert interruptible(program) == 7


def _run(first: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a module of ours, for which the modules in `first` come first."""
    return subprocess.run(
        [sys.executable, "-P", "-m", *words],
        env={**os.environ, "PYTHONPATH": f"{first}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.usefixtures("terminal_can_be_lost")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_command_is_interrupted_while_it_is_imported(tmp_path: Path, name: str) -> None:
    (tmp_path / "typer").mkdir()
    (tmp_path / "typer" / "__init__.py").write_text(KILLS_ITSELF.format(name=name))
    done = _run(tmp_path, "rollproof", "status")
    assert (done.returncode, done.stderr) == (ExitCode.INTERRUPTED, "interrupted\n")
