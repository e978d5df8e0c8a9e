"""Progress: what is shown, and that nobody has to look."""

from __future__ import annotations

import io
import os
import pty
import re

import pytest

from reports.terminal.progress import Progress


def test_a_step_is_a_line() -> None:
    stream = io.StringIO()
    with Progress(stream) as progress, progress.step("restore [mysql]") as step:
        step.result = "3 records"
    assert re.search(r"ok   restore \[mysql\]: 3 records \(\d+\.\d s\)\n", stream.getvalue())


def test_a_reader_that_is_gone_ends_no_step() -> None:
    reader, writer = os.pipe()
    done = []
    with os.fdopen(writer, "w") as stream:
        with Progress(stream) as progress:
            for name in ("stop", "restore"):
                with progress.step(name):
                    if name == "stop":
                        os.close(reader)
                    done.append(name)
            progress.say("done")
        # What could not be shown is not to be said again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    assert done == ["stop", "restore"]


def test_a_closed_stream_ends_no_step() -> None:
    stream = io.StringIO()
    with Progress(stream) as progress, progress.step("restore"):
        stream.close()


def test_without_standard_error_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    with Progress() as progress, progress.step("restore"):
        pass


def test_a_terminal_that_is_gone_ends_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    far, near = pty.openpty()
    done = False
    with os.fdopen(near, "w") as stream:
        with Progress(stream) as progress, progress.step("restore"):
            os.close(far)
            done = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    assert done
