"""Programs that a report needs: they end in time, and say why they failed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from reports.tools.processes import NoReport, run
from tests.unit.processes import wait_for_end


def test_output_is_returned() -> None:
    command = [sys.executable, "-c", "import os; print(os.getcwd(), os.environ.get('A'))"]

    printed = run(command, what="x", hint="y", seconds=60, folder=Path("/"), environment={"A": "b"})

    assert printed == "/ b\n"


def test_a_failure_says_the_last_lines() -> None:
    command = [
        sys.executable,
        "-c",
        "import sys; print('many\\n' * 9, 'cause', file=sys.stderr); sys.exit(7)",
    ]

    with pytest.raises(NoReport, match=r"^report: expected exit code 0, observed 7: many\n") as caught:
        run(command, what="report", hint="try", seconds=60)

    assert "cause" in str(caught.value)
    assert str(caught.value).count("many") == 4
    assert str(caught.value).endswith("HINT: try")


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(NoReport, match=r"observed No such file or directory \(from /nonexistent/node\)"):
        run(["/nonexistent/node"], what="report", hint="y", seconds=60)


def test_a_deadline_ends_the_program_and_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"sleep 3600 & echo $! > {pid}.part; mv {pid}.part {pid}; wait"
    for seconds in (1, 30):  # on a busy machine a shell may not have begun within the first
        with pytest.raises(
            NoReport, match=rf"expected done within {seconds} s, observed still running; stop"
        ):
            run(["sh", "-c", script], what="report", hint="y", seconds=seconds)
        if pid.exists():
            break

    wait_for_end(int(pid.read_text()))
