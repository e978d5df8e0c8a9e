"""The monitor as a process: ended by a signal, and one for each target."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from rollproof.errors import ExitCode
from rollproof.monitoring.monitor_metrics import MonitorMetrics, scraped
from rollproof.profile.profile import load_target
from tests.conftest import ROOT


@pytest.fixture
def command(profile: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The monitor of a target of which nothing exists, with a short beat."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{profile.parent}/no-engine.sock")
    monkeypatch.setenv("ROLLPROOF_PREMIGRATION__MONITORING__BEAT_SECONDS", "0.3")
    return [sys.executable, "-m", "rollproof", "monitor", f"--target={profile}"]


@contextmanager
def _started(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a monitor that has printed its first sample."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline(), "it ended"
        yield process
    finally:
        process.kill()
        process.communicate(timeout=60)


@pytest.mark.usefixtures("terminal_can_be_lost")
def test_a_lost_terminal_ends_it_cleanly(command: list[str]) -> None:
    with _started([*command, "--json"]) as process:
        process.send_signal(signal.SIGHUP)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == ExitCode.VERIFIED, errors
    assert errors.splitlines()[-1].startswith("monitor of sandbox: ")
    assert "Traceback" not in errors


def test_there_is_one_a_target_and_the_second_names_the_first(command: list[str]) -> None:
    def second() -> subprocess.CompletedProcess[str]:
        again = [*command, "--beats=1"]
        return subprocess.run(again, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)

    with _started(command) as process:
        refused = second()
        assert refused.returncode == ExitCode.USAGE
        assert f"process {process.pid} (monitor sandbox, since " in refused.stderr
        assert "lock to monitor sandbox: expected free, observed held by " in refused.stderr
        process.kill()
        process.wait(timeout=60)
    # A killed one holds nothing.
    assert second().returncode == ExitCode.VERIFIED


def test_prometheus_scrapes_over_http(profile: Path) -> None:
    with socket.socket() as held:
        # Who asks for this port by its number may listen there; nobody else is given it.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        with scraped(MonitorMetrics(load_target(profile)), port):
            answer = urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60)
            with closing(answer):
                assert b"rollproof_monitor_beats_total" in answer.read()
