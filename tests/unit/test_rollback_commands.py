"""The command line of rollbacks: bad input, what is printed, how a failure ends."""

from __future__ import annotations

import json
import os
import sys
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

import pytest

from fixtures.clock import Moment
from fixtures.errors import ActionFailed, ExitCode
from fixtures.incident import Incident, new_incident
from fixtures.verdict import Verdict
from rollback_actions import rollback_commands
from rollback_actions.__main__ import main
from rollback_actions.journal import Journal
from rollback_actions.lock import target_lock
from rollback_actions.plan import Plan, plan_database
from rollback_actions.unfinished import Unfinished
from rollback_actions.wish import Kind, Wish
from tests.unit.sandbox import MAINTAINED, SECRET, Sandbox, make_sandbox, proxied


@dataclass(frozen=True)
class Ran:
    """Runs the command line in this process, on the sandbox's profile."""

    sandbox: Sandbox
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str, code: ExitCode = ExitCode.VERIFIED) -> str:
        """Return what is printed, which holds neither a secret nor a traceback."""
        target = f"--target={self.sandbox.profile}"
        self.monkeypatch.setattr("sys.argv", ["rollback_actions", *arguments, target])
        ended = main()
        said = "".join(self.capsys.readouterr())
        assert ended is code, said
        assert SECRET not in said
        assert "Traceback" not in said
        return said


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    # No engine answers: what needs one has to say so.
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    return make_sandbox(tmp_path)


@pytest.fixture
def run(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ran:
    capsys.readouterr()
    return Ran(sandbox, monkeypatch, capsys)


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


def _incident(sandbox: Sandbox) -> Incident:
    return new_incident(sandbox.target.folders.incidents, sandbox.target.name)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("rollback", "service", "backnd"), "did you mean backend?"),
        (("rollback", "service"), "Missing argument"),
        (("rollback", "database", "backend"), "rollback service backend"),
        (("rollback", "full", "HEAD"), "a hash of 7 to 64 hexadecimal digits"),
        (("rollback", "full", "0" * 40), "expected one commit of the repository"),
        (("rollback", "emergency", "$(reboot)"), "a hash of 7 to 64 hexadecimal digits"),
        (("rollback", "emergency"), "Missing argument"),
        (("rollback", "nothing"), "No such command"),
        (("rollback", "resume"), "expected one that began and did not succeed, observed none"),
        (("rollback", "status"), "expected one that was begun, observed none"),
        (("rollback", "service", "backend", "--incident=../x"), "incident id"),
        (("plan", "--service=nobody"), "expected one of frontend, backend, worker"),
        (("plan", "--store=mysq"), "did you mean mysql?"),
        (("plan", "--severity=bad", "--whole"), "'bad' is not one of"),
        (("plan", "--whole", "--commit=HEAD"), "a hash of 7 to 64 hexadecimal digits"),
        (("plan", "--colour"), "No such option"),
    ],
)
def test_bad_input_is_two_lines_and_changes_nothing(run: Ran, arguments: tuple[str, ...], words: str) -> None:
    before = _tree(run.sandbox.folder)
    said = run(*arguments, code=ExitCode.USAGE)
    assert words in said
    assert ": expected " in said
    assert ", observed " in said
    assert "\nHINT: " in said
    after = _tree(run.sandbox.folder)
    after.pop("incidents/.sandbox.lock", None)
    assert after == before


@pytest.mark.parametrize("arguments", [("card",), ("rollback", "status"), ("plan", "--whole")])
def test_a_profile_that_is_not_there_is_said(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["rollback_actions", *arguments, "--target=/nowhere.toml"])
    assert main() is ExitCode.USAGE
    assert "HINT: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "decision", "script"),
    [
        (("--service=backend",), "service rollback of backend", "service_backend.sh"),
        (("--service=worker",), "service rollback of worker", "rollback_actions rollback service worker"),
        (("--store=mysql",), "database rollback of mysql", "db_mysql.sh"),
        (
            ("--service=backend", "--service=worker"),
            "full rollback",
            "rollback_actions rollback full {commit}",
        ),
        (("--whole",), "full rollback", "rollback_actions rollback full {commit}"),
        (("--corrupt",), "emergency rollback", "emergency_rollback.sh {commit}"),
        (("--store=mysql", "--store=redis"), "emergency rollback", "emergency_rollback.sh {commit}"),
        (
            ("--store=mysql", "--severity=non-critical", "--still-bad"),
            "database rollback of mysql",
            "db_mysql.sh",
        ),
    ],
)
def test_a_plan_is_shown_and_changes_nothing(
    run: Ran, arguments: tuple[str, ...], decision: str, script: str
) -> None:
    before = _tree(run.sandbox.folder)
    said = run("plan", *arguments)
    assert said.startswith(f"decision: {decision}\nbecause: ")
    assert f"commit: {run.sandbox.commit}, baseline " in said
    assert "\n   1. " in said
    assert "\nlost: " in said
    assert "\nbudget: 300 s" in said
    assert script.format(commit=run.sandbox.commit) in said.splitlines()[-1]
    assert _tree(run.sandbox.folder) == before


def test_a_plan_says_what_is_lost_and_how_old_the_backup_is(run: Ran) -> None:
    said = run("plan", "--store=mysql")
    assert "lost: what was written to mysql since the backup of 20" in said
    assert " s ago; it is in the safety copy" in said
    assert "restore mysql: mysql goes back to 3 records of set-of-" in said
    assert "restore redis" not in said
    assert "caution: mysql goes to" in said


@pytest.mark.parametrize(
    ("arguments", "decision"),
    [
        (("--whole", "--severity=non-critical"), "investigate"),
        (("--whole", "--severity=non-critical", "--over"), "continue monitoring"),
        ((), "investigate"),
    ],
)
def test_what_needs_no_rollback_gets_no_plan(run: Ran, arguments: tuple[str, ...], decision: str) -> None:
    said = run("plan", *arguments)
    assert said.startswith(f"decision: {decision}\nbecause: ")
    assert "steps:" not in said


def test_a_part_goes_to_the_known_good_commit_only(run: Ran) -> None:
    assert "steps:" in run("plan", "--service=backend", f"--commit={run.sandbox.commit[:9]}")
    said = run("plan", "--service=backend", f"--commit={run.sandbox.bad}", code=ExitCode.USAGE)
    assert f"expected the known-good one, {run.sandbox.commit[:12]}" in said


def test_the_card_is_filled_in(run: Ran) -> None:
    before, sandbox = _tree(run.sandbox.folder), run.sandbox
    said = run("card")
    assert f"emergency_rollback.sh {sandbox.commit} --target=" in said
    assert "data goes back to 20" in said
    assert "curl http://127.0.0.1:9/api/v1/health/check" in said
    assert f"git -C {sandbox.target.application.repository} log --oneline -10" in said
    assert f"{sandbox.commit[:7]} release 1, [redacted]" in said
    assert "docker compose --project-name sandbox" in said
    assert "logs --tail=100 -f frontend backend worker" in said
    assert "an answer within 10 s" in said
    assert "Lock:\n    free" in said
    assert "rollback_actions plan --help" in said
    assert _tree(sandbox.folder) == before


def test_a_known_good_commit_without_a_backup_is_said(run: Ran) -> None:
    rmtree(run.sandbox.target.folders.backups)
    assert "backup: expected a complete backup set of commit" in run("card")


def test_a_card_is_there_whatever_is_not(run: Ran) -> None:
    (run.sandbox.target.folders.baselines / "current").unlink()
    _begin(run.sandbox)
    with target_lock(run.sandbox.target.folders.incidents, "sandbox"):
        said = run("card")
    assert "known-good baseline: expected a baseline of sandbox, observed none" in said
    assert f"held by process {os.getpid()}" in said
    assert "rollback_actions rollback status" in said
    assert "rollback_actions rollback resume" in run("card")


def _begin(sandbox: Sandbox, *, failed: bool = False) -> Incident:
    """Leave a database rollback of redis as a kill leaves it, or a failure."""
    incident = _incident(sandbox)
    journal = Journal(incident.folder / "journal.jsonl", str)
    wish = Wish(Kind.DATABASE, sandbox.commit, ("redis",))
    journal.write("started", step=f"rollback {wish}")
    with journal.step("stop the application"):
        pass
    journal.write("started", step="restore redis")
    unfinished = Unfinished.begin(incident, wish, "current")
    if failed:
        journal.write("failed", step="restore redis", seconds=1.0, error="it is gone\nHINT: x")
        journal.write("failed", step=f"rollback {wish}", seconds=2.0, error="it is gone")
        incident.write_rollback(unfinished.outcome(Verdict.FAILED, Moment.now()))
    return incident


def test_the_status_of_one_that_was_killed(run: Ran) -> None:
    incident = _begin(run.sandbox)
    before = _tree(run.sandbox.folder)
    said = run("rollback", "status", code=ExitCode.BROKEN)
    assert f"incident: {incident.folder}" in said
    assert f"rollback: database redis to {run.sandbox.commit}" in said
    assert "ended    stop the application (0.0 s)" in said
    assert "cut off  restore redis" in said
    assert "verdict: none, it was cut off" in said
    assert "lock: free" in said
    assert "rollback_actions rollback resume --target=" in said.splitlines()[-1]
    assert _tree(run.sandbox.folder) == before


def test_the_status_of_one_that_failed(run: Ran) -> None:
    _begin(run.sandbox, failed=True)
    said = run("rollback", "status", code=ExitCode.FAILED)
    assert "failed   restore redis (1.0 s): it is gone" in said
    assert "verdict: failed in " in said
    assert "logs --tail=100 -f redis" in said.splitlines()[-1]


def test_the_status_of_one_that_runs(run: Ran) -> None:
    _begin(run.sandbox)
    with target_lock(run.sandbox.target.folders.incidents, "sandbox"):
        said = run("rollback", "status", code=ExitCode.BROKEN)
    assert "running  restore redis" in said
    assert "verdict: not yet, it is running" in said
    assert f"lock: held by process {os.getpid()}" in said
    assert f"next: wait for process {os.getpid()}" in said


def test_the_status_is_of_the_newest_and_of_this_target(run: Ran) -> None:
    _begin(run.sandbox, failed=True)
    incident = _begin(run.sandbox)
    Unfinished.begin(new_incident(run.sandbox.target.folders.incidents, "other"), Wish(Kind.FULL, "c" * 40))
    journal = Journal(incident.folder / "journal.jsonl", str)
    wish = Wish(Kind.DATABASE, run.sandbox.commit, ("redis",))
    with journal.step(f"rollback {wish}"), journal.step("restore redis") as step:
        step["result"] = "3 records"
    unfinished = Unfinished.begin(incident, wish)
    incident.write_rollback(unfinished.outcome(Verdict.PASSED, Moment.now()))
    unfinished.end()
    said = run("rollback", "status")
    assert f"incident: {incident.folder}" in said
    assert "runs: 2" in said
    assert "cut off" not in said
    assert "ended    restore redis (0.0 s): 3 records" in said
    assert f"next: verify it: {sys.executable} -m pytest" in said
    incident.close()
    assert "next: nothing: it is verified" in run("rollback", "status")


def test_an_edited_journal_is_no_status(run: Ran) -> None:
    journal = _begin(run.sandbox).folder / "journal.jsonl"
    journal.write_text(journal.read_text().replace("restore redis", "restore mysql"))
    assert "record 3 of the journal" in run("rollback", "status", code=ExitCode.BROKEN)
    # That of an older incident says nothing about a newer one.
    _begin(run.sandbox, failed=True)
    assert "verdict: failed" in run("rollback", "status", code=ExitCode.FAILED)


@pytest.fixture
def rolled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Plan, Incident]]:
    """What would be rolled back by which plan in which incident; it succeeds at once."""
    rolled: list[tuple[Plan, Incident]] = []

    def roll_back(_: object, plan: Plan, incident: Incident, *__: object) -> object:
        rolled.append((plan, incident))
        unfinished = Unfinished.begin(incident, plan.wish)
        unfinished.end()
        return unfinished.outcome(Verdict.PASSED, Moment.now())

    monkeypatch.setattr(rollback_commands, "roll_back", roll_back)
    return rolled


def test_resume_goes_on_in_the_incident(run: Ran, rolled: list[tuple[Plan, Incident]]) -> None:
    incident = _begin(run.sandbox)
    assert "rollback: passed" in run("rollback", "resume")
    ((plan, where),) = rolled
    assert (plan, where.id) == (plan_database(run.sandbox.target, "redis"), incident.id)
    run("rollback", "resume", code=ExitCode.USAGE)


def test_the_same_rollback_goes_on_and_another_is_refused(
    run: Ran, rolled: list[tuple[Plan, Incident]]
) -> None:
    incident = _begin(run.sandbox)
    said = run("rollback", "service", "backend", code=ExitCode.USAGE)
    assert "expected none that is half restored" in said
    run("rollback", "database", "mysql", code=ExitCode.USAGE)
    assert rolled == []
    assert f"incident: {incident.folder}" in run("rollback", "database", "redis")
    run("rollback", "emergency", run.sandbox.commit[:7])
    assert [(plan.kind, where.id == incident.id) for plan, where in rolled] == [
        (Kind.DATABASE, True),
        (Kind.EMERGENCY, False),
    ]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ActionFailed(what="restore", expected="b", observed="c", source="d", hint="e"), ExitCode.FAILED),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
        (ZeroDivisionError(SECRET), ExitCode.BROKEN),
    ],
    ids=["failed", "Ctrl-C", "a bug"],
)
@pytest.mark.parametrize("kind", ["service", "emergency"])
def test_a_rollback_that_fails_calls_for_hands(
    run: Ran, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: ExitCode, kind: str
) -> None:
    def roll_back(_: object, plan: Plan, incident: Incident, *__: object) -> object:
        Unfinished.begin(incident, plan.wish)
        raise copy(error)

    monkeypatch.setattr(rollback_commands, "roll_back", roll_back)
    what = {"service": "backend", "emergency": run.sandbox.commit}[kind]
    said = run("rollback", kind, what, code=code)
    (folder,) = run.sandbox.target.folders.incidents.glob("*-sandbox-*")
    assert f"MANUAL INTERVENTION: the rollback {kind} {what}" in said
    assert str(folder) in said
    assert "rollback_actions rollback status --target=" in said
    assert "rollback_actions rollback resume --target=" in said
    assert "docker compose --project-name sandbox" in said
    assert ("emergency_rollback.sh" in said) is (kind == "service")
    failed = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()][-1]
    assert failed["event"] == "failed"


def test_maintenance_that_is_left_on_is_said(run: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    def roll_back(_: object, plan: Plan, incident: Incident, *__: object) -> object:
        Unfinished.begin(incident, plan.wish)
        raise ActionFailed(what="restore", expected="b", observed="c", source="d", hint="e")

    monkeypatch.setattr(rollback_commands, "roll_back", roll_back)
    with proxied(run.sandbox) as proxy:
        proxy.on = True
        said = run("rollback", "database", "mysql", code=ExitCode.FAILED)
        assert "503 with Retry-After to every request" in run("plan", "--store=mysql")
    manual = said[said.index("MANUAL INTERVENTION") :]
    assert "maintenance is on" in manual
    assert f"exec -T {MAINTAINED} rm flag" in manual


def test_an_engine_that_is_away_is_said_with_what_to_do(run: Ran) -> None:
    said = run("rollback", "service", "backend", code=ExitCode.BROKEN)
    assert "HINT: see that the engine runs" in said
    assert "MANUAL INTERVENTION" in said
    assert "nothing was changed; when that is mended: " in said
    assert "service_backend.sh" in said
    assert "rollback resume" not in said
