"""What `rollback status` says of a rollback, however it stands."""

from __future__ import annotations

import re

from rollback_actions.session.journal import Journal
from rollproof.errors import ExitCode
from rollproof.incident.incident import new_incident
from rollproof.incident.journal_steps import Step
from rollproof.monitoring.rollback_request import Kind, RollbackRequest
from rollproof.planning.unfinished import Unfinished, read_unfinished
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict
from tests.unit.command_line import Ran, begin, tree
from tests.unit.lock_stand_in import StandInPlace, elsewhere, held


def test_the_status_of_one_that_was_killed(run: Ran) -> None:
    incident = begin(run.sandbox)
    before = tree(run.sandbox.folder)
    said = run("rollback", "status", code=ExitCode.BROKEN)
    assert f"incident: {incident.folder}" in said
    assert f"rollback: database redis to {run.sandbox.commit}" in said
    assert re.search(r"ended    stop the application \(\d+\.\d s\)\n", said)
    assert "cut off  restore redis" in said
    assert "verdict: none, it was cut off" in said
    assert "lock: free" in said
    assert "rollproof rollback resume --target=" in said.splitlines()[-1]
    assert tree(run.sandbox.folder) == before


def test_the_status_of_one_that_failed(run: Ran) -> None:
    begin(run.sandbox, failed=True)
    said = run("rollback", "status", code=ExitCode.FAILED)
    assert "failed   restore redis (1.0 s): it is gone" in said
    assert "verdict: failed in " in said
    assert "logs --tail=100 -f redis" in said.splitlines()[-1]


def test_the_status_of_one_that_runs(run: Ran, place: StandInPlace) -> None:
    begin(run.sandbox)
    with held(place) as holder:
        said = run("rollback", "status", code=ExitCode.BROKEN)
    assert "running  restore redis" in said
    assert "verdict: not yet, it is running" in said
    assert f"lock: held by {holder}" in said
    assert f"next: wait for {holder}" in said


def test_the_status_of_one_on_another_machine(run: Ran, place: StandInPlace) -> None:
    begin(run.sandbox)
    place.kept = {1: elsewhere().record()}
    said = run("rollback", "status", code=ExitCode.BROKEN)
    assert "no end   restore redis" in said
    assert "next: see whether anna@elsewhere, process " in said
    assert "when it has ended: " in said.splitlines()[-1]
    assert "rollback resume --take-over" in said.splitlines()[-1]


def test_the_status_is_of_the_newest_and_of_this_target(run: Ran) -> None:
    begin(run.sandbox, failed=True)
    incident = begin(run.sandbox)
    Unfinished.begin(
        new_incident(run.sandbox.target.folders.incidents, "other"), RollbackRequest(Kind.FULL, "c" * 40)
    )
    journal = Journal(incident.folder / "journal.jsonl", str)
    request = RollbackRequest(Kind.DATABASE, run.sandbox.commit, ("redis",))
    with journal.step(f"rollback {request}", id=Step.ROLLBACK), journal.step("restore redis") as step:
        step["result"] = "3 records"
    unfinished = Unfinished.begin(incident, request)
    incident.write_rollback(unfinished.outcome(Verdict.PASSED, Moment.now()))
    unfinished.end()
    said = run("rollback", "status")
    assert f"incident: {incident.folder}" in said
    assert "runs: 2" in said
    assert "cut off" not in said
    assert re.search(r"ended    restore redis \(\d+\.\d s\): 3 records\n", said)
    assert "next: verify it: rollproof verify --incident=" in said
    incident.close()
    assert "next: nothing: it is verified" in run("rollback", "status")


def test_an_edited_journal_is_no_status(run: Ran) -> None:
    journal = begin(run.sandbox).folder / "journal.jsonl"
    journal.write_text(journal.read_text().replace("restore redis", "restore mysql"))
    assert "record 3 of the journal" in run("rollback", "status", code=ExitCode.BROKEN)
    # That of an older incident says nothing about a newer one.
    begin(run.sandbox, failed=True)
    assert "verdict: failed" in run("rollback", "status", code=ExitCode.FAILED)


def test_a_journal_that_was_taken_away_is_no_status(run: Ran) -> None:
    incident = begin(run.sandbox, failed=True)
    unfinished = read_unfinished(incident)
    assert unfinished is not None
    incident.write_rollback(unfinished.outcome(Verdict.PASSED, Moment.now()))
    unfinished.end()
    run("rollback", "status")
    for name in ("journal.jsonl",):
        (incident.folder / name).unlink()
    said = run("rollback", "status", code=ExitCode.BROKEN)
    assert "broken   the journal: it holds nothing of this rollback" in said
    assert f"next: keep {incident.folder}, and verify the target: " in said
    # Nor is one that was begun anew since.
    with Journal(incident.folder / "journal.jsonl", str).step("capture"):
        pass
    assert "holds nothing of this rollback" in run("rollback", "status", code=ExitCode.BROKEN)


def test_one_that_passed_says_nothing_of_one_whose_incident_is_damaged(run: Ran) -> None:
    older, incident = begin(run.sandbox, failed=True), begin(run.sandbox)
    unfinished = read_unfinished(older)
    assert unfinished is not None
    older.write_rollback(unfinished.outcome(Verdict.PASSED, Moment.now()))
    unfinished.end()
    (incident.folder / "incident.json").write_text("{")
    assert str(incident.folder) in run("rollback", "status", code=ExitCode.USAGE)
