"""A named engine that does not answer, and undisturbed steps."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rollproof.errors import Problem
from staging.engine import docker_engine, undisturbed


def test_an_engine_named_by_the_environment_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    with pytest.raises(Problem) as caught, docker_engine(lambda _: None):
        pass
    assert "Docker engine: expected an answer, observed none (from DOCKER_HOST=unix:///nowhere.sock)" in str(
        caught.value
    )


def test_what_must_not_be_cut_in_half_is_not_whoever_takes_the_signal() -> None:
    """A display has a thread of its own, which may be the one that takes it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    done = []

    def take_down() -> None:
        with ThreadPoolExecutor(1) as display, undisturbed():
            display.submit(os.kill, os.getpid(), signal.SIGINT).result()
            time.sleep(0.1)
            done.append("whole")

    with pytest.raises(KeyboardInterrupt):
        take_down()
    assert done == ["whole"]
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler
