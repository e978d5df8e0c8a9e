from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from rollproof.errors import ActionFailed, Unverifiable
from rollproof.system import command
from rollproof.system.command import Deadline, Ran, inherited, observed, run_command, run_program
from tests.unit.processes import one_ctrl_c

SECRET = "correct horse battery staple"  # noqa: S105 - what must not be seen


def run(script: str, seconds: float = 60, **options: object) -> str:
    return run_command(["sh", "-c", script], what="script", deadline=Deadline(seconds), **options)  # type: ignore[arg-type]


def test_output_is_returned() -> None:
    assert run("echo out; echo err >&2") == "out\n"


def test_another_exit_code_says_the_last_lines_of_standard_error() -> None:
    with pytest.raises(ActionFailed) as caught:
        run("seq 1 100 >&2; echo why >&2; exit 3")
    assert "exit code 3" in str(caught.value)
    assert "100 | why" in str(caught.value)
    assert "| 50 |" not in str(caught.value)


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


def test_the_deadline_ends_the_program_and_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = tmp_path / "alive"
    monkeypatch.setattr(command, "GRACE_SECONDS", 0.2)
    with pytest.raises(Unverifiable, match=r"within 0\.3 s"):
        run(f"trap '' TERM; (trap '' TERM; while :; do touch {alive}; sleep 0.05; done) & wait", 0.3)
    alive.unlink(missing_ok=True)
    time.sleep(0.3)
    assert not alive.exists()


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


def test_the_words_of_a_private_program_are_not_repeated() -> None:
    """It reads files that hold secrets."""
    told = list[Ran]()
    with observed(told.append), pytest.raises(ActionFailed, match="exit code 1: words that may") as failed:
        run("echo no port: hunter2 >&2; exit 1", private=True)
    assert "hunter2" not in f"{failed.value}{[one.output for one in told]}".partition("HINT")[0]
    with observed(told.append), pytest.raises(Unverifiable, match="still running") as ended:
        run("echo hunter2 >&2; exec sleep 60", 0.5, private=True)
    assert "hunter2" not in f"{ended.value}{[one.output for one in told]}"


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(Unverifiable, match="observed No such file or directory: /nonexistent/git"):
        run_command(["/nonexistent/git"], what="git", deadline=Deadline(60))


def ended(script: str, folder: Path, environment: dict[str, str], **options: object) -> int | None:
    return run_program(
        ["/bin/sh", "-c", script],
        Deadline(60),
        output=None,
        errors=None,
        environment=environment,
        folder=folder,
        **options,  # type: ignore[arg-type]
    )


def test_who_judges_the_exit_code_gets_it(tmp_path: Path) -> None:
    assert ended("exit 7", tmp_path, inherited()) == 7
    assert ended("kill -9 $$", tmp_path, inherited()) == -signal.SIGKILL


def test_a_program_has_the_environment_that_it_is_given_and_no_input(tmp_path: Path) -> None:
    (tmp_path / "typed").write_text("TYPED=by somebody\n")
    ours = os.dup(0)
    try:
        with (tmp_path / "typed").open() as typed:
            os.dup2(typed.fileno(), 0)
        assert ended("env > found; cat >> found", tmp_path, {"ONLY": "this"}) == 0
    finally:
        os.dup2(ours, 0)
        os.close(ours)
    found = (tmp_path / "found").read_text().splitlines()
    # The shell adds where it is.
    assert [line for line in found if not line.startswith(("PWD=", "SHLVL=", "OLDPWD=", "_="))] == [
        "ONLY=this"
    ]


def test_what_a_hook_of_git_sets_leads_no_program_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    assert "GIT_DIR" not in inherited()
    assert inherited({"MORE": "1"})["MORE"] == "1"


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_ctrl_c_ends_the_program_and_its_children(tmp_path: Path, first: signal.Signals) -> None:
    """What is deaf to the first signal is killed; who has an end to make, makes it."""
    name = first.name.removeprefix("SIG")
    deaf = "sh -c \"trap '' TERM INT; touch deaf; exec sleep 60\""
    # A shell may miss a signal that comes just before it waits.
    script = f"trap 'touch told; exit' {name}; {deaf} & while :; do sleep 0.1; done"
    pid = tmp_path / "pid"

    def interrupt(press: Callable[[], None]) -> None:
        while not (tmp_path / "deaf").exists():
            time.sleep(0.02)
        time.sleep(0.5)  # on a busy machine the program may run before its start has returned
        press()

    with one_ctrl_c() as press:
        interrupting = threading.Thread(target=interrupt, args=[press])
        interrupting.start()
        with pytest.raises(KeyboardInterrupt):
            ended(f"echo $$ > {pid}; {script}", tmp_path, inherited(), first=first, grace=20.0)
        interrupting.join()
    assert (tmp_path / "told").exists()
    group = int(pid.read_text())
    while _runs(group):
        time.sleep(0.02)


def _runs(group: int) -> bool:
    """Tell whether a process of the group runs: one that has ended waits until init collects it."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z":
            return True
    return False
