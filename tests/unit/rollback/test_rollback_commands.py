"""The command line of rollbacks: bad input, what is printed, how a failure ends, and what its status says."""

from __future__ import annotations

import json
import os
import re
from copy import copy
from functools import partial

import pytest

from rollback_actions.rollback import rollback_run
from rollback_actions.session.session import Journal, Recorder
from rollproof.errors import ActionFailed, ExitCode
from rollproof.incident.incident import Incident
from rollproof.incident.journal import Step, verify_journal
from rollproof.incident.rollback_request import RollbackKind
from rollproof.planning.plan import Plan
from rollproof.planning.unfinished import Unfinished, read_unfinished
from rollproof.system.clock import Moment
from rollproof.system.holder import Holder
from rollproof.verdict import Verdict
from tests.unit.command_line import Ran, begin, tree
from tests.world.lock import StandInPlace, elsewhere, ended, held
from tests.world.sandbox import SECRET, WAY_IN, back_up, proxied

FAILURE = ActionFailed(what="restore", expected="b", observed="c", source="d", hint="e")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("rollback", "service", "backnd"), "did you mean backend?"),
        (("rollback", "database", "mysql", "--backup=none"), "a complete backup set of commit"),
        (("rollback", "full", "nobranch"), "expected one of the repository"),
        (("rollback", "resume"), "expected one that began and did not succeed, observed none"),
        (("rollback", "status"), "expected one that was begun, observed none"),
        (("rollback", "service", "backend", "--incident=../x"), "incident id"),
        (("plan", "--store=mysq"), "did you mean mysql?"),
    ],
)
def test_bad_input_is_two_lines_and_changes_nothing(run: Ran, arguments: tuple[str, ...], words: str) -> None:
    before = tree(run.sandbox.folder)
    said = run(*arguments, code=ExitCode.USAGE)
    assert words in said
    assert ": expected " in said
    assert ", observed " in said
    assert "\nHINT: " in said
    assert tree(run.sandbox.folder) == before


def test_a_part_goes_to_the_known_good_commit_only(run: Ran) -> None:
    assert "steps:" in run("plan", "--service=backend", f"--commit={run.sandbox.commit[:9]}")
    said = run("plan", "--service=backend", f"--commit={run.sandbox.bad}", code=ExitCode.USAGE)
    assert f"expected the known-good one, {run.sandbox.commit[:12]}" in said


def test_what_changes_nothing_needs_no_lock(away: Ran) -> None:
    begin(away.sandbox)
    before = tree(away.sandbox.folder)
    assert "steps:" in away("plan", "--store=mysql")
    said = away("rollback", "status", code=ExitCode.BROKEN)
    assert "no end   restore redis" in said
    assert "verdict: none yet; whether it runs cannot be known from here" in said
    assert "lock: cannot be read: container engine: expected an answer" in said
    assert tree(away.sandbox.folder) == before


@pytest.mark.parametrize("arguments", [("backup",), ("capture",), ("rollback", "service", "backend")])
def test_nothing_is_done_where_the_lock_cannot_be_asked_for(away: Ran, arguments: tuple[str, ...]) -> None:
    before = tree(away.sandbox.folder)
    said = away(*arguments, code=ExitCode.BROKEN)
    assert "container engine: expected an answer" in said
    assert "HINT: see that the engine runs" in said
    if "rollback" in arguments:
        assert (
            "did not succeed\n  nothing was changed; when that is mended, give the same command again" in said
        )
    assert tree(away.sandbox.folder) == before


@pytest.fixture
def rolled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Plan, Incident]]:
    """What would be rolled back by which plan in which incident; it succeeds at once."""
    rolled: list[tuple[Plan, Incident]] = []

    def roll_back(_: object, plan: Plan, incident: Incident, *__: object) -> object:
        rolled.append((plan, incident))
        unfinished = Unfinished.begin(incident, plan.request)
        unfinished.end()
        return unfinished.outcome(Verdict.PASSED, Moment.now())

    monkeypatch.setattr(rollback_run, "roll_back", roll_back)
    return rolled


@pytest.mark.parametrize(
    "command",
    [
        *("backup", "capture", "rollback service backend", "rollback database redis", "rollback resume"),
        *("rollback full {commit}", "rollback emergency {commit}"),
    ],
)
def test_every_command_that_changes_something_takes_the_lock(
    run: Ran, place: StandInPlace, command: str
) -> None:
    if command == "rollback resume":
        begin(run.sandbox)
    words = command.format(commit=run.sandbox.commit).split()
    before = tree(run.sandbox.folder)
    with held(place, "rollback full") as holder:
        for over in ([], ["--take-over"]):
            said = run(*words, *over, code=ExitCode.USAGE)
            assert f"expected free, observed held by {holder}" in said
            assert "\nHINT: wait for it" in said
            assert "MANUAL INTERVENTION" not in said
    place.kept = {1: ended().record()}
    assert "HINT: nobody will give it back: add --take-over" in run(*words, code=ExitCode.USAGE)
    assert tree(run.sandbox.folder) == before


@pytest.mark.parametrize("holder", [ended("backup"), elsewhere("backup")])
def test_taking_over_is_journalled(
    run: Ran, place: StandInPlace, rolled: list[tuple[Plan, Incident]], holder: Holder
) -> None:
    place.kept = {1: holder.record()}
    said = run("rollback", "service", "backend", "--take-over")
    assert f"took the lock over from {holder}" in said
    assert ("that it has ended is your word" in said) is (holder.host == "elsewhere")
    ((_, incident),) = rolled
    first, over, *_ = verify_journal(incident.folder / "journal.jsonl")
    me = Holder.doing("")
    assert (first["event"], first["step"]) == ("started", f"rollback service backend to {run.sandbox.commit}")
    assert (first["user"], first["host"], first["pid"]) == (me.user, me.host, str(os.getpid()))
    taken = {"user": holder.user, "host": holder.host, "what": "backup", "since": holder.since}
    assert over.items() >= {"event": "took over", **taken}.items()
    assert list(place.kept.values()) == [{"free": "yes"}]


def test_the_same_rollback_goes_on_and_another_is_refused(
    run: Ran, rolled: list[tuple[Plan, Incident]]
) -> None:
    incident = begin(run.sandbox)
    said = run("rollback", "service", "backend", code=ExitCode.USAGE)
    assert "expected none that is half restored" in said
    run("rollback", "database", "mysql", code=ExitCode.USAGE)
    assert rolled == []
    assert f"incident: {incident.folder}" in run("rollback", "database", "redis")
    run("rollback", "emergency", run.sandbox.commit[:7])
    assert [(plan.kind, where.id == incident.id) for plan, where in rolled] == [
        (RollbackKind.DATABASE, True),
        (RollbackKind.EMERGENCY, False),
    ]


@pytest.mark.parametrize(
    ("kind", "error", "code"),
    [
        ("service", FAILURE, ExitCode.FAILED),
        ("emergency", KeyboardInterrupt(), ExitCode.INTERRUPTED),
        ("emergency", ZeroDivisionError(SECRET), ExitCode.BROKEN),
    ],
    ids=["failed", "Ctrl-C", "a bug"],
)
def test_a_rollback_that_fails_calls_for_hands(
    run: Ran, monkeypatch: pytest.MonkeyPatch, kind: str, error: BaseException, code: ExitCode
) -> None:
    def roll_back(_: object, plan: Plan, incident: Incident, *__: object) -> object:
        Unfinished.begin(incident, plan.request)
        raise copy(error)

    monkeypatch.setattr(rollback_run, "roll_back", roll_back)
    what = {"service": "backend", "emergency": run.sandbox.commit}[kind]
    said = run("rollback", kind, what, code=code)
    (folder,) = run.sandbox.target.folders.incidents.glob("*-sandbox-*")
    assert f"MANUAL INTERVENTION: the rollback {kind} {what}" in said
    assert str(folder) in said
    assert "rollproof rollback status --target=" in said
    assert "rollproof rollback resume --target=" in said
    assert "docker compose --project-name sandbox" in said
    assert ("or roll all back: " in said) is (kind == "service")
    failed = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()][-1]
    assert failed["event"] == "failed"


def test_the_backup_set_that_a_person_named_is_the_one(run: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[str] = []

    def roll_back(_: object, plan: Plan, incident: Incident, *__: object) -> object:
        assert plan.backup is not None
        if began:
            Unfinished.begin(incident, plan.request, "current", plan.backup.folder.name, plan.stores)
        began.append(plan.backup.folder.name)
        raise copy(FAILURE)

    monkeypatch.setattr(rollback_run, "roll_back", roll_back)
    for name in ("older", "zz newest"):
        back_up(run.sandbox, run.sandbox.commit, name)
    words = ("rollback", "database", "redis")
    assert "observed no complete set" in run(*words, "--backup=", code=ExitCode.USAGE)
    said = run(*words, "--backup=older", code=ExitCode.FAILED)
    assert "nothing was changed; when that is mended, give the same command again" in said
    said = run(*words, "--backup=zz newest", code=ExitCode.FAILED)
    assert f"rollproof rollback emergency {run.sandbox.commit} '--backup=zz newest' --target=" in said
    said = run(*words, "--backup=older", code=ExitCode.USAGE)
    assert "expected zz newest, with which it began and did not succeed, observed 'older'" in said
    run(*words, code=ExitCode.FAILED)
    run(*words, "--backup=zz newest", code=ExitCode.FAILED)
    assert began == ["older", *["zz newest"] * 3]


def test_what_fails_says_no_secret(run: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    def roll_back(*arguments: object) -> object:
        steps = arguments[-1]
        assert isinstance(steps, Recorder)
        with steps(Step.LOOK) as step:
            step.result = f"{SECRET} was seen"
        steps.note(f"and noted: {SECRET}")
        failure = ActionFailed(what="restore", expected="b", observed=f"A={SECRET}", source="d", hint="e")
        failure.add_note(f"besides, B={SECRET}")
        raise failure

    monkeypatch.setattr(rollback_run, "roll_back", roll_back)
    said = run("rollback", "service", "backend", code=ExitCode.FAILED)
    shown = ("[redacted] was seen", "noted: [redacted]", "observed A=[redacted] (", "besides, B=[redacted]")
    for words in shown:
        assert words in said
    assert "nothing was changed; when that is mended, give the same command again" in said


def test_users_are_let_in_when_it_is_verified(run: Ran) -> None:
    proxy = proxied(run.sandbox, WAY_IN)
    let = partial(
        rollback_run.let_in,
        run.sandbox.profile,
        take_over=False,
        control=run.sandbox.control,
        outside=run.sandbox.outside,
    )
    proxy.on = True
    incident = begin(run.sandbox)
    said = run("rollback", "let-in", code=ExitCode.USAGE)
    assert "expected verified, before users write again, observed not finished" in said
    unfinished = read_unfinished(incident)
    assert unfinished is not None
    incident.write_rollback(unfinished.outcome(Verdict.PASSED, Moment.now()))
    unfinished.end()
    said = run("rollback", "let-in", code=ExitCode.USAGE)
    assert "observed not verified" in said
    assert f"rollproof verify --incident={incident.id}" in said
    incident.close()
    # Nothing that was refused has let anybody in.
    run.sandbox.control.run_in_each.assert_not_called()
    let(anyway=False)
    assert not proxy.on
    # Once more changes nothing.
    let(anyway=False)
    incident.reopen()
    proxy.on = True
    let(anyway=True)
    assert not proxy.on


def test_who_has_lost_the_lock_stops_before_the_next_step(
    run: Ran, place: StandInPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    did = []

    def roll_back(*arguments: object) -> None:
        _, plan, incident, _, _, steps = arguments
        assert isinstance(plan, Plan)
        assert isinstance(incident, Incident)
        assert isinstance(steps, Recorder)
        Unfinished.begin(incident, plan.request)
        with steps(Step.STOP):
            did.append("the first")
        place.add(max(place.kept) + 1, elsewhere().record())
        with steps(Step.START):
            did.append("the second")

    monkeypatch.setattr(rollback_run, "roll_back", roll_back)
    said = run("rollback", "service", "backend", code=ExitCode.FAILED)
    assert did == ["the first"]
    assert "expected held by this process still, observed held by anna@elsewhere" in said
    assert "MANUAL INTERVENTION: " in said
    assert "rollback status" in said
    # Another one goes on.
    assert "rollback resume" not in said
    assert place.kept[max(place.kept)]["host"] == "elsewhere"


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


def test_a_journal_that_was_taken_away_is_no_status(run: Ran) -> None:
    incident = begin(run.sandbox, failed=True)
    unfinished = read_unfinished(incident)
    assert unfinished is not None
    incident.write_rollback(unfinished.outcome(Verdict.PASSED, Moment.now()))
    unfinished.end()
    run("rollback", "status")
    (incident.folder / "journal.jsonl").unlink()
    said = run("rollback", "status", code=ExitCode.BROKEN)
    assert "broken   the journal: it holds nothing of this rollback" in said
    assert f"next: keep {incident.folder}, and verify the target: " in said
    # Nor is one that was begun again since.
    with Journal(incident.folder / "journal.jsonl", str).step("capture"):
        pass
    assert "holds nothing of this rollback" in run("rollback", "status", code=ExitCode.BROKEN)
