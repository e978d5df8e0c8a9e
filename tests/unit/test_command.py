from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from fixtures import command
from fixtures.command import Deadline, run_command
from fixtures.errors import ActionFailed, Unverifiable

SECRET = "correct horse battery staple"  # noqa: S105 - what must not be seen


def run(script: str, seconds: float = 10, **options: object) -> str:
    return run_command(["sh", "-c", script], what="script", deadline=Deadline(seconds), **options)  # type: ignore[arg-type]


def test_output_is_returned() -> None:
    assert run("echo out; echo err >&2") == "out\n"


def test_another_exit_code_says_the_last_lines_of_standard_error() -> None:
    with pytest.raises(ActionFailed) as caught:
        run("seq 1 100 >&2; echo why >&2; exit 3")
    assert "exit code 3" in str(caught.value)
    assert "100 | why" in str(caught.value)
    assert "| 50 |" not in str(caught.value)


def test_death_by_a_signal_is_a_failure() -> None:
    with pytest.raises(ActionFailed, match="signal 9"):
        run("kill -9 $$")


def test_a_secret_reaches_the_program_and_no_message() -> None:
    environment = {"PASSWORD": SecretStr(SECRET)}
    assert run('echo "$PASSWORD"', environment=environment) == f"{SECRET}\n"
    with pytest.raises(ActionFailed) as caught:
        run('echo "access denied for $PASSWORD" >&2; exit 1', environment=environment)
    assert SECRET not in str(caught.value)
    assert "access denied for [redacted]" in str(caught.value)


def test_a_secret_that_is_cut_by_the_tail_is_not_seen_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "ERROR_TAIL_BYTES", 12)
    with pytest.raises(ActionFailed) as caught:
        run('echo "$PASSWORD" >&2; echo ok >&2; exit 1', environment={"PASSWORD": SecretStr(SECRET)})
    assert "staple" not in str(caught.value)
    assert ": ok" in str(caught.value)


def test_the_deadline_ends_the_program_and_its_children(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    started = time.monotonic()
    with pytest.raises(Unverifiable, match=r"within 0\.3 s"):
        run(f"trap '' TERM; (trap '' TERM; while :; do touch {alive}; sleep 0.05; done) & wait", 0.3)
    assert time.monotonic() - started < 0.3 + 2 * command.GRACE_SECONDS + 1
    alive.unlink()
    time.sleep(0.3)
    assert not alive.exists()


def test_one_deadline_covers_several_steps() -> None:
    deadline = Deadline(0.4)
    run_command(["sleep", "0.3"], what="first", deadline=deadline)
    with pytest.raises(Unverifiable):
        run_command(["sleep", "0.3"], what="second", deadline=deadline)


def test_a_file_is_read_and_another_written(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(os.urandom(3_000_000))
    assert run("cat", stdin=tmp_path / "in", stdout=tmp_path / "out") == ""
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("script", ["echo half; exit 1", "echo half; sleep 60"])
def test_a_file_appears_only_when_it_is_whole(tmp_path: Path, script: str) -> None:
    (tmp_path / "out").write_text("what was there before")
    with pytest.raises((ActionFailed, Unverifiable)):
        run(script, 0.5, stdout=tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").read_text() == "what was there before"


def test_output_too_long_for_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "MAXIMUM_OUTPUT_BYTES", 1000)
    assert len(run("head -c 1000 /dev/zero")) == 1000
    with pytest.raises(ActionFailed, match="1001 bytes"):
        run("head -c 1001 /dev/zero")


def test_an_engine_that_is_away_is_not_a_failed_action() -> None:
    with pytest.raises(Unverifiable, match="docker version"):
        run("echo 'Cannot connect to the Docker daemon at unix:///x. Is it running?' >&2; exit 1")
