"""Step 3 on the real stack, with a real monitor: what it does not see, or not do, turns its check red."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.git import git
from fixtures.samples import Sample, read_samples
from fixtures.target import Target
from staging.operators import undone
from tests.pytester.conftest import Outcome
from tests.stack import container_faults as faults
from tests.stack.container_faults import Containers
from tests.stack.scratch_project import docker
from tests.stack.verifier import Verifier, expect

RUNNING, BEAT, SEES = (
    "test_monitor_is_running",
    "test_monitor_is_on_the_beat",
    "test_monitor_sees_the_target",
)
BEAT_SECONDS, SAMPLES = 2.0, 6
SETTINGS = {
    "PREMIGRATION__MONITORING__BEAT_SECONDS": str(BEAT_SECONDS),
    "PREMIGRATION__MONITORING__SAMPLES": str(SAMPLES),
}
WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Watched:
    """The stack with a monitor of it, and the checks of step 3 as an operator runs them."""

    verifier: Verifier
    migration: str
    process: subprocess.Popen[str]
    path: Path

    def gate(self, *options: str) -> Outcome:
        """Run the checks."""
        migration = f"--migration={self.migration}"
        return self.verifier.run("step3", migration, *options, incident="", **SETTINGS)

    def last(self) -> tuple[Sample, ...]:
        """Return the last samples."""
        return read_samples(self.path, SAMPLES)

    def wait_until(self, holds: Callable[[tuple[Sample, ...]], bool]) -> None:
        """Wait until the last samples are like that."""
        give_up = time.monotonic() + WAIT_SECONDS
        while not holds(self.last()):
            assert time.monotonic() < give_up, self.last()
            time.sleep(0.1)

    def wait_until_well(self) -> None:
        """Wait until it has been well for as long as is asked."""
        self.wait_until(
            lambda samples: (
                len(samples) == SAMPLES
                and all(sample.monitor.process.pid == self.process.pid for sample in samples)
                and not any(sample.missed or sample.late > 0.1 for sample in samples)
                and all(_well(sample) for sample in samples)
            )
        )


@pytest.fixture(scope="module")
def migration(target: Target) -> str:
    """The migration that goes wrong."""
    return git(target.application.repository, "rev-parse", "release-2^{commit}")


@contextmanager
def watched(verifier: Verifier, migration: str) -> Iterator[Watched]:
    """Run a monitor."""
    path = verifier.folder / "incidents" / "monitor" / "staging.jsonl"
    path.unlink(missing_ok=True)
    settings = {f"ROLLPROOF_{name}": value for name, value in SETTINGS.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "rollback_actions", "monitor"],
        cwd=verifier.root,
        env={**verifier.environment, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield Watched(verifier, migration, process, path)
    finally:
        process.kill()
        process.communicate(timeout=30)


@pytest.fixture
def watching(verifier: Verifier, migration: str) -> Iterator[Watched]:
    with watched(verifier, migration) as there:
        there.wait_until_well()
        yield there


def test_a_monitor_that_watches_is_green_until_it_is_stopped_or_killed(watching: Watched) -> None:
    outcome = watching.gate()
    expect(outcome, {})
    assert set(outcome.results()) == {RUNNING, BEAT, SEES}
    (said,) = outcome.results()[SEES]["notes"]
    assert said.startswith("health 200 status UP, ")
    assert said.endswith("; all of 18 probes are well")

    watching.process.send_signal(signal.SIGSTOP)
    time.sleep(2 * BEAT_SECONDS + 0.5)
    old = ("failed", "last sample of the monitor: expected no older than 4 s, observed ")
    expect(watching.gate(), {BEAT: old, SEES: old})

    watching.process.send_signal(signal.SIGCONT)
    # The first sample after it may be without an answer that was late by then.
    watching.wait_until(lambda samples: any(sample.missed for sample in samples) and _well(samples[-1]))
    expect(watching.gate(), {BEAT: ("failed", "monitor, ")})
    watching.wait_until_well()
    expect(watching.gate(), {})

    os.kill(watching.process.pid, signal.SIGKILL)
    watching.process.wait(timeout=30)
    expect(watching.gate("-k", "running"), {RUNNING: ("failed", "it has ended")})


def test_what_is_down_or_hangs_is_not_green(watching: Watched, containers: Containers) -> None:
    proxy = containers.of("nginx").id
    with undone(lambda: docker("exec", proxy, "rm", "-f", "/tmp/maintenance")):  # noqa: S108 - the profile's own
        docker("exec", proxy, "touch", "/tmp/maintenance")  # noqa: S108
        watching.wait_until(lambda samples: samples[-1].probes["health"].ok is False)
        expect(watching.gate(), {SEES: ("failed", "observed not well: health (503 ")})
    with faults.paused(containers, "redis"):
        watching.wait_until(lambda last: all(one.probes["store redis"].ok is None for one in last[-2:]))
        expect(watching.gate(), {SEES: ("failed", "observed none of ", "store redis (unknown: ")})
    with faults.stopped(containers, "qdrant"):
        # Its connections are gone before its container is.
        watching.wait_until(lambda samples: _is_wrong(samples[-1], "store qdrant", "containers"))
        outcome = watching.gate()
        expect(outcome, {SEES: ("failed", "store qdrant (", "containers (", "qdrant-1 exited")})
    # It finds what has been started again, and never left its beat for any of it.
    watching.wait_until_well()
    expect(watching.gate(), {})


def test_no_monitor_another_targets_and_a_damaged_file_are_red(watching: Watched) -> None:
    watching.process.kill()
    watching.process.wait(timeout=30)
    whole = watching.path.read_bytes()
    lines = whole.splitlines(keepends=True)
    watching.path.write_bytes(b"".join([*lines[:-1], b"garbage\n"]))
    broken = ("broken", "sample 1 from the end: expected a record of the monitor")
    expect(watching.gate(), {RUNNING: broken, BEAT: broken, SEES: broken})
    watching.path.write_bytes(whole.replace(b'"target": "staging"', b'"target": "another"'))
    other = ("failed", "expected staging, observed another")
    expect(watching.gate(), {RUNNING: other, BEAT: other, SEES: other})
    watching.path.unlink()
    none = ("failed", "monitor: expected samples of staging, observed none")
    expect(watching.gate(), {RUNNING: none, BEAT: none, SEES: none})


def _well(sample: Sample) -> bool:
    """Say whether all that was asked is well."""
    return all(probe.ok for probe in sample.probes.values())


def _is_wrong(sample: Sample, *names: str) -> bool:
    """Say whether all these probes had an answer, and it was wrong."""
    return all(sample.probes[name].ok is False for name in names)
