"""Step 3 on the real stack, with a real monitor: each of its failings turns its check red."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollproof.git.repository import git
from rollproof.monitoring.samples import Sample, read_samples
from rollproof.profile.profile import Target
from staging.target.operators import undone
from tests.pytester.conftest import Outcome
from tests.stack import container_faults as faults
from tests.stack.container_faults import Containers
from tests.stack.scratch_project import docker
from tests.stack.verifier import Red, Verifier, expect

RUNNING, BEAT, SEES = (
    "test_monitor_is_running",
    "test_monitor_is_on_the_beat",
    "test_monitor_sees_the_target",
)
BEAT_SECONDS, SAMPLES = 4.0, 3
# So many are looked back when something must not be out of sight before the check has begun.
LONGER = 10
SETTINGS = {
    "PREMIGRATION__MONITORING__BEAT_SECONDS": str(BEAT_SECONDS),
    "PREMIGRATION__MONITORING__SAMPLES": str(SAMPLES),
}
WAIT_SECONDS = 120.0
MAINTENANCE = "/tmp/maintenance"  # noqa: S108 - the profile's own


@dataclass(frozen=True)
class Watched:
    """The stack with a monitor of it, and the checks of step 3 as an operator runs them."""

    verifier: Verifier
    migration: str
    process: subprocess.Popen[str]
    path: Path

    def gate(self, *options: str, samples: int = SAMPLES) -> Outcome:
        """Run the checks."""
        settings = {**SETTINGS, "PREMIGRATION__MONITORING__SAMPLES": str(samples)}
        return self.verifier.run("step3", f"--migration={self.migration}", *options, **settings)

    def gate_comes_to(self, red: Mapping[str, Red]) -> Outcome:
        """Run the checks until these are red: on a busy machine a beat is late now and then."""
        give_up = time.monotonic() + WAIT_SECONDS
        while True:
            outcome = self.gate()
            found = {name for name, verdict in outcome.verdicts().items() if verdict != "passed"}
            if found == set(red) or time.monotonic() > give_up:
                expect(outcome, red)
                return outcome
            time.sleep(BEAT_SECONDS)

    def last(self) -> tuple[Sample, ...]:
        """Return the last samples."""
        return read_samples(self.path, LONGER)

    def wait_until(self, holds: Callable[[tuple[Sample, ...]], bool]) -> None:
        """Wait until the last samples are like that."""
        give_up = time.monotonic() + WAIT_SECONDS
        while not holds(self.last()):
            assert time.monotonic() < give_up, self.last()
            time.sleep(0.1)


@pytest.fixture
def watching(verifier: Verifier, target: Target) -> Iterator[Watched]:
    """A monitor that sees the target, and has seen it for as long as is asked."""
    migration = git(target.application.repository, "rev-parse", "release-2^{commit}")
    path = verifier.folder / "incidents" / "monitor" / "staging.jsonl"
    path.unlink(missing_ok=True)
    settings = {f"ROLLPROOF_{name}": value for name, value in SETTINGS.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "rollproof", "monitor"],
        cwd=verifier.root,
        env={**verifier.environment, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        found = Watched(verifier, migration, process, path)
        found.wait_until(lambda samples: bool(samples) and _well(samples[-1]))
        yield found
    finally:
        process.kill()
        process.communicate(timeout=60)


def test_what_is_down_or_hangs_is_not_green_and_nor_is_a_monitor_that_does_not_watch(
    watching: Watched, containers: Containers
) -> None:
    proxy = containers.of("nginx").id
    with undone(lambda: docker("exec", proxy, "rm", "-f", MAINTENANCE)):
        docker("exec", proxy, "touch", MAINTENANCE)
        watching.wait_until(lambda samples: samples[-1].probes["health"].ok is False)
        expect(watching.gate("-k", SEES), {SEES: ("failed", "observed not well: health (503 ")})
        with faults.stopped(containers, "qdrant"), faults.paused(containers, "redis"):
            # Its connections are gone before its container is.
            watching.wait_until(
                lambda samples: (
                    _is_wrong(samples[-1], "store qdrant", "containers")
                    and all(sample.probes["store redis"].ok is None for sample in samples[-2:])
                )
            )
            unknown = ("observed none of ", "store redis (unknown: ")
            unwell = ("; not well: ", "health (503 ", "store qdrant (", "containers (", "qdrant-1 exited")
            expect(watching.gate("-k", SEES), {SEES: ("failed", *unknown, *unwell)})

    watching.process.send_signal(signal.SIGSTOP)
    watching.wait_until(lambda samples: samples[-1].at.seconds_ago() > 2 * BEAT_SECONDS)
    old: Red = ("failed", "last sample of the monitor: expected no older than 8 s, observed ")
    expect(watching.gate(), {BEAT: old, SEES: old})
    watching.process.send_signal(signal.SIGCONT)
    watching.wait_until(lambda last: len(last) == LONGER and any(sample.missed for sample in last))
    expect(watching.gate("-k", BEAT, samples=LONGER), {BEAT: ("failed", "monitor, ")})

    # It finds what has been started again, and is on its beat again.
    watching.wait_until(lambda samples: _well(samples[-1]))
    outcome = watching.gate_comes_to({})
    assert set(outcome.results()) == {RUNNING, BEAT, SEES}
    (note,) = outcome.results()[SEES]["notes"]
    said = note["text"]
    assert said.startswith("health 200 status UP, ")
    assert said.endswith(" probes are well")

    os.kill(watching.process.pid, signal.SIGKILL)
    watching.process.wait(timeout=60)
    expect(watching.gate("-k", "running"), {RUNNING: ("failed", "it has ended")})

    *lines, _ = watching.path.read_bytes().splitlines(keepends=True)
    watching.path.write_bytes(b"".join([*lines, b"garbage\n"]))
    broken: Red = ("broken", "sample 1 from the end: expected a record of the monitor")
    expect(watching.gate(), {RUNNING: broken, BEAT: broken, SEES: broken})
    watching.path.unlink()
    none: Red = ("failed", "expected one of target staging, observed none")
    expect(watching.gate(), {RUNNING: none, BEAT: none, SEES: none})


def _well(sample: Sample) -> bool:
    """Say whether all that was asked is well."""
    return all(probe.ok for probe in sample.probes.values())


def _is_wrong(sample: Sample, *names: str) -> bool:
    """Say whether all these probes had an answer, and it was wrong."""
    return all(sample.probes[name].ok is False for name in names)
