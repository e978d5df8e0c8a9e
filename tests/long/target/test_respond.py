"""The response on the real stack: a monitor sees a fault, and the response runs to its verified end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rollproof.errors import ExitCode
from rollproof.incident.journal import JournalEvent, id_of, read_journal, verify_journal
from rollproof.incident.severity import Severity, assess_now, monitored_samples
from rollproof.monitoring.assessment import Assessed, scope_of
from rollproof.profile.profile import Target
from rollproof.record_names import RESPONSE, UNFINISHED
from staging.kills.outcome import Expected, judge, read_outcome
from staging.kills.wreckage import STORES, wreck_stores
from staging.target.operators import Operators
from tests.stack import container_faults as faults
from tests.stack.container_faults import Containers
from tests.stack.verifier import Verifier, patient
from tests.waiting import until

# Many commands one after the other, on a machine that others use too.
pytestmark = [pytest.mark.timeout(2400), pytest.mark.usefixtures("settled")]
STEP_SECONDS = 1500
AUTO = {"ROLLPROOF_RESPONDING__AUTO": "true"}


# Says how bad it is, and which stores are in trouble.
Watched = Callable[[], tuple[Severity, tuple[str, ...]]]


@pytest.fixture(scope="module")
def watched(verifier: Verifier, backup: Path, target: Target) -> Iterator[Watched]:
    """Tells by the samples of a monitor that runs; a backup and a baseline are there."""
    assert backup.is_dir()
    folders = target.folders.model_copy(update={"incidents": verifier.folder / "incidents"})
    there = target.model_copy(update={"folders": folders})

    def look() -> tuple[Severity, tuple[str, ...]]:
        samples = tuple(monitored_samples(there))
        assessed = Assessed(assess_now(there, samples), samples, monitored=True)
        return assessed.assessment.severity, scope_of(there, assessed).stores

    with verifier.monitored():
        yield look


def _wait_for(watched: Watched, wanted: Severity, *stores: str) -> None:
    until(watched, lambda observed: observed[0] is wanted and {*stores} <= {*observed[1]})


def _respond(
    verifier: Verifier, *arguments: str, said: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rollproof", "respond", *arguments],
        cwd=verifier.root,
        env={**verifier.environment, **patient(), **variables},
        input=said,
        capture_output=True,
        text=True,
        check=False,
        timeout=STEP_SECONDS,
    )


def _response(said: str) -> tuple[Path, dict[str, dict[str, Any]]]:
    """Return the incident's folder, and the last record of each event of its response."""
    (folder,) = {Path(line[10:]) for line in said.splitlines() if line.startswith("incident: ")}
    return folder, {record["event"]: record for record in verify_journal(folder / RESPONSE)}


def test_a_lost_record_is_answered_although_the_response_is_killed(
    verifier: Verifier, watched: Watched, operators: Operators
) -> None:
    _wait_for(watched, Severity.HEALTHY)
    # Of two stores: one alone would go back by itself.
    operators.sql("DELETE FROM documents ORDER BY file_id LIMIT 1")
    operators.mongodb["mongodb"]["files"].delete_one({})
    _wait_for(watched, Severity.CRITICAL, "mysql", "mongodb")
    # Afterwards: what is answered is the records that are gone; a store in trouble might be seen before them.
    written = wreck_stores(operators, STORES)
    incidents = verifier.folder / "incidents"
    before = set(incidents.glob(f"*/{RESPONSE}"))
    with subprocess.Popen(
        [sys.executable, "-m", "rollproof", "respond", "--auto"],
        cwd=verifier.root,
        env={**verifier.environment, **patient(), **AUTO},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as killed:
        try:
            _wait_until_restoring(incidents, before, killed)
        finally:
            # With the rollback that it runs, as when the machine goes down.
            _kill_all(killed.pid)
    status = verifier.actions("rollback", "status")
    assert status.returncode == ExitCode.BROKEN, status.stderr
    assert "cut off  restore mysql" in status.stdout
    done = _respond(verifier, "--auto", **AUTO)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "resuming the response of incident" in done.stdout
    folder, response = _response(done.stdout)
    assert response["assessed"]["severity"] == "critical"
    assert "records lost" in str(response["assessed"]["findings"])
    assert response["decided"]["action"] == "emergency rollback"
    assert response["agreed"]["by"] == "--auto, which the profile allows"
    assert response["ended"]["ending"] == "resume operations"
    assert 0 < response["ended"]["downtime_seconds"] <= response["ended"]["objective_seconds"]
    verdict = json.loads((folder / "verdict.json").read_text())
    assert (verdict["verdict"], verdict["rollback"]["verdict"]) == ("passed", "passed")
    # Nothing was kept over what was kept at first, and what was written since the backup is exported.
    safety = verifier.folder / "backups" / "safety"
    assert [path.name for path in safety.glob(f"{folder.name}-*")] == [f"{folder.name}-01"]
    assert not (folder / UNFINISHED).exists()
    expected = Expected(tuple(STORES), written, untouched=False)
    assert judge(read_outcome(folder, safety.parent), expected) == ""
    verifier.compare()
    assert set(incidents.glob(f"*/{RESPONSE}")) - before == {folder / RESPONSE}


def _kill_all(pid: int) -> None:
    """Kill a process and everything that it started, in whatever group that is."""
    # Stopped first: it starts nothing more while its children are looked for.
    os.kill(pid, signal.SIGSTOP)
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in thread.read_text().split():
            _kill_all(int(child))
    os.kill(pid, signal.SIGKILL)


def _wait_until_restoring(incidents: Path, before: set[Path], process: subprocess.Popen[bytes]) -> None:
    def begun() -> list[str]:
        assert process.poll() is None, f"it ended by itself, with exit code {process.returncode}"
        journals = [path.with_name("journal.jsonl") for path in set(incidents.glob(f"*/{RESPONSE}")) - before]
        records = [record for journal in journals for record in read_journal(journal)[0]]
        return [str(id_of(record)) for record in records if record["event"] == JournalEvent.STARTED]

    until(begun, lambda steps: "restore mysql" in steps)


@pytest.mark.long(minutes=5)
def test_a_store_that_is_down_is_rolled_back_when_a_person_says_yes(
    verifier: Verifier, watched: Watched, containers: Containers
) -> None:
    _wait_for(watched, Severity.HEALTHY)
    with faults.stopped(containers, "qdrant"):
        _wait_for(watched, Severity.CRITICAL)
        declined = _respond(verifier, said="n\n")
        assert declined.returncode == 7, declined.stdout + declined.stderr
        assert "response: declined: nobody said yes to the database rollback" in declined.stdout
        done = _respond(verifier, said="y\n")
        assert done.returncode == 0, done.stdout + done.stderr
    assert "Roll back now?" in done.stdout
    folder, response = _response(done.stdout)
    assert (response["decided"]["action"], response["decided"]["names"]) == (
        "database rollback",
        ["qdrant"],
    )
    assert response["ended"]["ending"] == "resume operations"
    assert json.loads((folder / "verdict.json").read_text())["verdict"] == "passed"
    _wait_for(watched, Severity.HEALTHY)
