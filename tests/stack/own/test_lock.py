"""A target's lock, held by the real engine: between processes, after a kill, with the engine away."""

from __future__ import annotations

import secrets
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import IO

import pytest

from rollback_actions.session.session import LockVolumes, TargetLock
from rollproof.errors import UsageProblem
from rollproof.planning.status import LABEL
from rollproof.system.holder import Holder
from staging.stack.stack import Stack
from tests.conftest import ROOT
from tests.stack.scratch_project import docker
from tests.world.lock import elsewhere, ended

SECONDS = 60
ROUNDS = 4

# At each line it is given, it tries to take the lock; a line more, and it gives back what it got.
TAKER = """
import sys
from rollproof.errors import UsageProblem
from rollback_actions.session.session import TargetLock
from rollback_actions.session.session import LockVolumes
place = LockVolumes(sys.argv[1], 10)
for line in sys.stdin:
    lock = TargetLock(place, "t", "try", take_over=line == "over\\n")
    try:
        with lock:
            print("got", flush=True)
            sys.stdin.readline()
    except UsageProblem:
        print("refused", flush=True)
        sys.stdin.readline()
    print("done", flush=True)
"""


class Taker:
    """A process that takes the lock of `project` when it is told to."""

    def __init__(self, project: str, opened: ExitStack) -> None:
        self.process = opened.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", TAKER, project],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        opened.callback(self.process.kill)

    def say(self, word: str) -> None:
        """Say `word` to it."""
        stdin: IO[str] | None = self.process.stdin
        assert stdin is not None
        stdin.write(f"{word}\n")
        stdin.flush()

    def hear(self) -> str:
        """Return what it says next."""
        stdout: IO[str] | None = self.process.stdout
        assert stdout is not None
        return stdout.readline().strip()

    def kill(self) -> None:
        """End it as kill -9 does."""
        self.process.kill()
        self.process.wait(SECONDS)


def _all_at_once(takers: list[Taker], word: str) -> list[Taker]:
    """Have all of them try; return those that got it."""
    for taker in takers:
        taker.say(word)
    return [taker for taker in takers if taker.hear() == "got"]


def _enough(takers: list[Taker]) -> None:
    for taker in takers:
        taker.say("enough")
    assert {taker.hear() for taker in takers} == {"done"}


@pytest.fixture
def place(stack: Stack) -> Iterator[LockVolumes]:
    """A lock of a project of the test's own."""
    assert stack.project
    place = LockVolumes(f"rollproof-test.{uuid.uuid4().hex[:8]}", 10)
    try:
        yield place
    finally:
        place.remove(place.records())
        assert place.records() == {}


@pytest.fixture
def takers(place: LockVolumes) -> Iterator[list[Taker]]:
    """Two that take its lock."""
    with ExitStack() as opened:
        yield [Taker(place.project, opened) for _ in range(2)]


def _lock(place: LockVolumes, *, take_over: bool = False) -> TargetLock:
    return TargetLock(place, "t", "backup", take_over=take_over)


def _put(place: LockVolumes, holder: Holder) -> None:
    place.add(max(place.records(), default=0) + 1, holder.record())


def test_of_two_at_the_same_instant_one_gets_it(place: LockVolumes, takers: list[Taker]) -> None:
    for _ in range(ROUNDS):
        got = _all_at_once(takers, "take")
        assert len(got) == 1
        with pytest.raises(UsageProblem, match=f", process {got[0].process.pid} "):
            _lock(place, take_over=True).__enter__()
        _enough(takers)
        assert list(place.records().values()) == [{"free": "yes"}]


def test_of_two_that_take_over_at_once_one_gets_it(place: LockVolumes, takers: list[Taker]) -> None:
    for holder in [ended(), elsewhere()] * (ROUNDS // 2):
        _put(place, replace(holder, token=secrets.token_hex(16)))
        assert len(_all_at_once(takers, "over")) == 1
        _enough(takers)


def test_the_labels_name_the_holder(place: LockVolumes) -> None:
    with _lock(place) as lock:
        listed = docker("volume", "ls", "--quiet", f"--filter=label={LABEL}={place.project}")
        assert listed == place.name(1)
        said = docker("volume", "inspect", "--format={{json .Labels}}", listed)
        for word in (lock.holder.user, lock.holder.host, str(lock.holder.pid)):
            assert f'"{word}"' in said
        # What has no name of its own would go with this; a lock stays.
        docker("volume", "prune", "--force", f"--filter=label={LABEL}={place.project}")
        lock.require()
    assert docker("volume", "ls", "--quiet", f"--filter=label={LABEL}={place.project}") == place.name(2)


def test_a_volume_without_a_record_is_said(place: LockVolumes) -> None:
    docker("volume", "create", place.name(1))
    with pytest.raises(Exception, match=f"HINT: .*docker volume rm {place.name(1)}"):
        _lock(place).__enter__()
    # Another project's, whose name begins as this one's.
    assert LockVolumes(place.project.rpartition(".")[0], 10).records() == {}
