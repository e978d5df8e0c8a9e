"""Programs: each has a deadline, and a secret that one is given or prints is never shown."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from rollproof.errors import ActionFailed, Unverifiable, UsageProblem
from rollproof.profile.profile import load_target
from rollproof.redaction import secret
from rollproof.redaction.secret import known_secrets
from rollproof.system import command
from rollproof.system.command import Deadline, Ran, inherited, observed, run_command, run_program
from rollproof.system.process import handled
from tests.conftest import write_profile

AGAIN_SECONDS = 0.5
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


def test_the_deadline_ends_the_program_and_its_children(tmp_path: Path) -> None:
    """What is deaf to the first signal is killed: nothing of it holds the pipe any longer."""
    os.mkfifo(tmp_path / "held")
    reader = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    held = f"exec 3> {tmp_path / 'held'}; trap '' TERM"
    with open(reader, "rb") as pipe:  # noqa: PTH123 - an open file
        with pytest.raises(Unverifiable, match=r"within 0\.3 s"):
            run(f"{held}; ({held}; exec sleep 3600) & wait; exec sleep 3600", 0.3)
        os.set_blocking(reader, True)
        assert pipe.read() == b""


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
    os.mkfifo(tmp_path / "ready")
    os.mkfifo(tmp_path / "held")
    deaf = "sh -c \"trap '' TERM INT; exec 3> held; echo > ready; exec sleep 3600\""
    # A shell may miss a signal that comes just before it waits.
    script = f"trap 'touch told; exit' {name}; {deaf} & while :; do sleep 0.1; done"
    reader = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    pressed = threading.Event()

    def press_when_ready() -> None:
        (tmp_path / "ready").read_text()
        # On a busy machine the program may run before its start has returned: pressed until it is seen.
        while not pressed.wait(AGAIN_SECONDS):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def see(*_: object) -> None:
        if not pressed.is_set():
            pressed.set()
            raise KeyboardInterrupt

    pressing = threading.Thread(target=press_when_ready)
    with open(reader, "rb") as pipe, handled(see, [signal.SIGINT]):  # noqa: PTH123 - an open file
        pressing.start()
        with pytest.raises(KeyboardInterrupt):
            ended(script, tmp_path, inherited(), first=first, grace=60.0)
        pressing.join()
        os.set_blocking(reader, True)
        assert pipe.read() == b"", "nothing of it holds the pipe any longer"
    assert (tmp_path / "told").exists()


FILE = '{file = "canary_password"}'
PRINTED = "tops3cret-of-the-program"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Nothing has been asked yet, nor is it known to later tests."""
    secret.printed.cache_clear()
    yield
    secret.printed.cache_clear()


def profile_by(folder: Path, words: str) -> Path:
    profile = write_profile(folder)
    text = profile.read_text(encoding="utf-8")
    profile.write_text(text.replace(FILE, f"{{command = {words}}}", 1), encoding="utf-8")
    return profile


def script(folder: Path, text: str) -> str:
    program = folder / "tell"
    program.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    program.chmod(0o755)
    return '["./tell", "a b"]'


def test_it_is_what_the_program_prints_once_a_process(tmp_path: Path) -> None:
    words = script(tmp_path, f'echo "$1" >> asked; echo noise >&2; printf "%s\\n" "{PRINTED}"')
    profile = profile_by(tmp_path, words)
    for _ in range(2):
        password = load_target(profile).application.canary.password
        assert password.get_secret_value() == PRINTED
        assert PRINTED not in repr(password)
    # In the profile's folder, each word as it is.
    assert (tmp_path / "asked").read_text(encoding="utf-8") == "a b\n"
    assert PRINTED in known_secrets()


@pytest.mark.parametrize(
    ("text", "observed"),
    [
        (f"echo {PRINTED}; echo {PRINTED} >&2; exit 3", "exit code 3 of ./tell"),
        ("exit 0", "nothing, no UTF-8"),
        ("printf '\\377\\376'", "nothing, no UTF-8"),
        ("head -c 70000 /dev/zero | tr '\\0' x", "nothing, no UTF-8"),
        ("kill -9 $$", "exit code -9 of ./tell"),
    ],
)
def test_a_failure_is_reported_without_the_words_of_the_program(
    tmp_path: Path, text: str, observed: str, capfd: pytest.CaptureFixture[str]
) -> None:
    profile = profile_by(tmp_path, script(tmp_path, text))
    with pytest.raises(UsageProblem) as raised:
        load_target(profile)
    said = str(raised.value)
    assert "application.canary.password: expected" in said
    assert f"observed {observed}" in said
    assert "HINT: run it by hand" in said
    assert PRINTED not in said + "".join(capfd.readouterr())


def test_it_has_a_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret, "SECONDS", 0.5)
    # A process that it has started may run on, and must not be waited for.
    profile = profile_by(tmp_path, script(tmp_path, f"sleep 5 & echo {PRINTED}; exec sleep 5"))
    with pytest.raises(UsageProblem, match=r"\./tell still running after 0\.5 s"):
        load_target(profile)


@pytest.mark.parametrize(
    ("words", "observed"),
    [
        ('["no-such-program-x"]', "no-such-program-x"),
        ("[]", "a table of 1 key"),
        ('"sops -d x"', "a table of 1 key"),
        ('["sops", 3]', "a table of 1 key"),
        ('["a\\u0000b"]', "ValueError"),
    ],
)
def test_what_is_no_command_is_refused(tmp_path: Path, words: str, observed: str) -> None:
    with pytest.raises(UsageProblem, match=observed) as raised:
        load_target(profile_by(tmp_path, words))
    assert "application.canary.password: expected" in str(raised.value)
