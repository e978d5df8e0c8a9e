"""What programs do that the suite starts, and what is known of processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rollback_actions.backup.scratch import rendered
from rollback_actions.containers.compose import ComposeControl
from rollback_actions.session.session import Journal
from rollproof.doctor import every_need, examination
from rollproof.doctor.examination import Need, NeedOutcome, examine
from rollproof.errors import ActionFailed, ExitCode
from rollproof.incident.journal import verify_journal
from rollproof.profile.profile import Engine
from rollproof.system import process
from rollproof.system.command import Deadline, observed, run_command
from rollproof.system.holder import Holder
from rollproof.system.process import Life, Process
from tests.unit.command_line import Ran, tree
from tests.unit.discovery.test_doctor import FAR
from tests.world.lock import elsewhere, ended


def test_the_life_of_a_holder() -> None:
    me = Holder.doing("backup")
    assert me.life() is Life.RUNS
    assert ended().life() is Life.ENDED
    assert elsewhere().life() is Life.UNKNOWN
    assert replace(me, namespace="pid:[1]").life() is Life.UNKNOWN
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = Process.of(child.pid)
        assert process is not None
        other = replace(me, started=process.started, pid=process.pid)
        assert other.life() is Life.RUNS
        child.kill()
        child.wait()
        assert other.life() is Life.ENDED
    assert Holder.of_record(other.record()) == other


def test_one_that_this_user_may_not_see_may_live(monkeypatch: pytest.MonkeyPatch) -> None:
    """A /proc that hides the processes of others, as a mount with hidepid does, is no proof of death."""
    of = process._stat
    monkeypatch.setattr(process, "_stat", lambda pid: of(pid) if pid == os.getpid() else None)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        other = replace(ended(), pid=child.pid, started=1)
        assert other.life() is Life.UNKNOWN
        child.kill()
        child.wait()
        assert other.life() is Life.ENDED


def test_programs_are_written_down_with_code_and_output(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", lambda text: text.replace("hunter2", "[redacted]"))
    script = ["sh", "-c", "echo hunter2 is out; echo of it >&2; exit 3"]
    with observed(journal.ran), pytest.raises(ActionFailed):
        run_command(script, what="a script", deadline=Deadline(60))
    with observed(journal.ran):
        run_command(["echo", "an answer"], what="echo", deadline=Deadline(60))
        run_command(["echo", "a secret"], what="echo", deadline=Deadline(60), private=True)
    run_command(["true"], what="true", deadline=Deadline(60))
    runs, failed, *others = verify_journal(journal.path)
    assert (runs["event"], runs["command"]) == (
        "runs",
        "sh -c 'echo [redacted] is out; echo of it >&2; exit 3'",
    )
    assert (failed["event"], failed["code"], failed["output"]) == ("ran", 3, "of it")
    ended = [(record["code"], record["output"]) for record in others if record["event"] == "ran"]
    assert ended == 2 * [(0, "no word on its standard error")]


SECRET_OF_A_CONTAINER = "in-the-environment-of-a-container"  # noqa: S105 - nobody's


@pytest.mark.parametrize(
    "read",
    [
        lambda engine: ComposeControl(engine).services(None, Deadline(9.0)),
        lambda engine: rendered(engine, Deadline(9.0)),
    ],
    ids=["of a service's images", "of a scratch instance"],
)
def test_what_compose_says_of_its_files_is_told_to_nobody(
    read: Callable[[Engine], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the environment of every container: secrets of which the profile knows nothing."""
    said = {"services": {"app": {"image": "app", "environment": {"KEY": SECRET_OF_A_CONTAINER}}}}
    (tmp_path / "compose.yaml").touch()
    program = tmp_path / "docker"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(said)}\nEND\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    told: list[object] = []
    with observed(told.append):
        assert read(Engine(kind="compose", project="p", files=(tmp_path / "compose.yaml",)))
    assert told
    assert SECRET_OF_A_CONTAINER not in repr(told)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each question take as long as it has to: nothing is said of how fast a machine is."""
    monkeypatch.setattr(every_need, "REQUEST_SECONDS", FAR)

    def unhurriedly(needs: Sequence[Need], *_: float) -> list[NeedOutcome]:
        return examine([replace(one, seconds=FAR) for one in needs], FAR)

    monkeypatch.setattr(examination, "examine", unhurriedly)


@pytest.mark.usefixtures("unhurried")
def test_without_an_engine_it_is_one_line_and_nothing_is_changed(away: Ran) -> None:
    before = tree(away.sandbox.folder)
    said = away("doctor", code=ExitCode.FAILED)
    assert said.count("docker version") == 1
    assert "engine first, then " in said
    assert "redis reader" in said or "more" in said
    assert tree(away.sandbox.folder) == before
