"""Work in a process of its own, whose death harms nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.engine import ContainerEngine
from rollproof.engines.factory import open_engine
from rollproof.errors import ActionFailed, ExitCode, Meaning, Unverifiable, code_of
from rollproof.profile.profile import Target, load_target
from rollproof.stores.reach import account_of
from rollproof.stores.registry import apart_by_kind, asked_by_kind
from rollproof.system.apart import Died, apart
from tests.conftest import ROOT, write_profile
from tests.unit.processes import wait_for_end
from tests.unit.stores.test_readers_reach import section
from tests.unit.system.work_apart import fail, leave, print_and_add, stay

SECONDS = 120.0


def test_the_result_comes_back_and_what_is_printed_is_not_part_of_it(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert apart("sum", SECONDS, print_and_add, 1, other=2) == 3
    assert apart("process", SECONDS, os.getpid) != os.getpid()
    assert capfd.readouterr().out == ""


def test_an_error_comes_back_as_it_was() -> None:
    with pytest.raises(ActionFailed) as raised:
        apart("work", SECONDS, fail)
    assert (raised.value.summary, raised.value.means) == ("a: expected b, observed c (from d)", Meaning.LATE)
    assert raised.value.__notes__ == ["and this"]
    assert code_of(raised.value) is ExitCode.FAILED
    with pytest.raises(ActionFailed) as raised:
        apart("work", SECONDS, fail, full=True)
    assert code_of(raised.value) is ExitCode.BROKEN
    with pytest.raises(FileNotFoundError) as missing:
        apart("work", SECONDS, os.listdir, "/nonesuch")
    assert missing.value.filename == "/nonesuch"


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_death_by_a_signal_is_an_error_that_says_where(number: signal.Signals) -> None:
    with pytest.raises(Died, match=f"content of kafka: .* killed by {number.name}") as raised:
        apart("content of kafka", SECONDS, os.kill, 0, number)
    assert "Fatal Python error" in str(raised.value)
    assert raised.value.means is Meaning.CRASH


def test_a_kill_is_told_too() -> None:
    with pytest.raises(Died, match="killed by SIGKILL: no word"):
        apart("work", SECONDS, os.kill, 0, signal.SIGKILL)


def test_a_result_that_cannot_be_sent_is_no_result() -> None:
    with pytest.raises(Died, match=r"exit code 1: .*it stays here"):
        apart("work", SECONDS, stay)


def test_an_end_without_a_result_is_no_result() -> None:
    with pytest.raises(Died, match="exit code 0"):
        apart("work", SECONDS, leave)


def test_what_hangs_is_ended_at_its_deadline() -> None:
    started = time.monotonic()
    with pytest.raises(Unverifiable, match=r"work: expected an end within 0\.5 s") as raised:
        apart("work", 0.5, time.sleep, 600)
    assert raised.value.means is Meaning.TIMEOUT
    assert time.monotonic() - started < 60


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    """Else a rollback that was killed would go on beside the one that resumes it."""
    text = (
        "import sys; from pathlib import Path; from rollproof.system.apart import apart\n"
        "from tests.unit.system.work_apart import write_and_wait\n"
        f"apart('work', 600, write_and_wait, Path({str(tmp_path / 'pid')!r}))"
    )
    parent = subprocess.Popen([sys.executable, "-c", text], cwd=ROOT)
    try:
        give_up = time.monotonic() + SECONDS
        while not (tmp_path / "pid").exists() and time.monotonic() < give_up:
            time.sleep(0.05)
        worker = int((tmp_path / "pid").read_text())
    finally:
        parent.kill()
        parent.wait()
    wait_for_end(worker)


def _told(target: Target, engine: ContainerEngine, control: ComposeControl) -> tuple[str, ...]:
    account = account_of(target.stores["redis"].operator)
    return target.name, account.password.get_secret_value(), type(engine).__name__, type(control).__name__


def test_what_actions_work_with_can_be_sent(tmp_path: Path) -> None:
    target = load_target(write_profile(tmp_path))
    target = target.model_copy(update={"stores": {"redis": section("redis")}})
    sent = target, open_engine(target.engine), ComposeControl(target.engine)
    assert apart("target", SECONDS, _told, *sent) == _told(*sent)


def test_the_kind_of_a_store_says_who_works_apart() -> None:
    assert apart_by_kind(section("redis"), "work", SECONDS, os.getpid) == os.getpid()
    assert apart_by_kind(section("kafka"), "work", SECONDS, os.getpid) != os.getpid()


def _crash_once(mark: Path) -> str:
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGSEGV)
    return "answered"


def test_a_question_is_asked_once_more_when_its_driver_crashed(tmp_path: Path) -> None:
    """It only reads, so nothing was changed; work that writes is not done twice."""
    assert asked_by_kind(section("kafka"), "reader", SECONDS, _crash_once, tmp_path / "asked") == "answered"
    with pytest.raises(Died):
        apart_by_kind(section("kafka"), "restore", SECONDS, _crash_once, tmp_path / "done")
    with pytest.raises(Died, match="killed by SIGSEGV"):
        asked_by_kind(section("kafka"), "reader", SECONDS, os.kill, 0, signal.SIGSEGV)
