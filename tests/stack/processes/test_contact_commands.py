"""Alerting the contacts of an incident: real deliveries to a small server, and what is recorded of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rollback_actions.contacts import contacts
from rollproof.errors import ExitCode
from rollproof.incident.incident import Incident, find_or_create_incident
from rollproof.incident.journal import verify_journal
from rollproof.record_names import CONTACTS, UNFINISHED
from rollproof.system.clock import Moment
from tests.conftest import ROOT
from tests.unit.clock import Clock
from tests.unit.command_line import Ran
from tests.unit.team_stand_in import PASSWORD, TOKEN, Channels, reach
from tests.waiting import until
from tests.world.sandbox import SECRET, Sandbox

ID = "fire-1"


@pytest.fixture
def passing(stopped_clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock; what is waited for passes at once."""
    monkeypatch.setattr(contacts.ContactClock, "_sleep", lambda _, seconds: stopped_clock.turn(seconds))
    return stopped_clock


def incident(sandbox: Sandbox) -> Incident:
    return find_or_create_incident(sandbox.target.folders.incidents, sandbox.target.name, ID)


def records(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Return what is recorded, which must hold no secret, nor anything else."""
    for path in sandbox.target.folders.incidents.rglob("*"):
        if path.is_file():
            clean(path.read_text(encoding="utf-8"))
    return verify_journal(incident(sandbox).folder / CONTACTS)


def clean(text: str) -> str:
    for secret in (SECRET, PASSWORD, TOKEN):
        assert secret not in text
    return text


def told(server: Channels) -> list[str]:
    return [name for name, _, _ in server.sent]


def message(server: Channels, number: int = -1) -> str:
    return clean(f"{server.sent[number][1]['title']}\n{server.sent[number][1]['message']}")


@pytest.fixture
def once(away: Ran) -> Callable[..., str]:
    """Do once what is due."""

    def ran(*options: str, code: ExitCode = ExitCode.VERIFIED) -> str:
        return clean(away("contacts", "run", "--once", f"--incident={ID}", *options, code=code))

    return ran


@pytest.fixture
def say(away: Ran) -> Callable[..., str]:
    """Answer as a contact of the incident."""

    def ran(*arguments: str, code: ExitCode = ExitCode.VERIFIED) -> str:
        return clean(away("contacts", "answer", ID, *arguments, code=code))

    return ran


Said = Callable[..., str]


@pytest.mark.usefixtures("stopped_clock")
def test_the_engineer_on_call_learns_what_there_is_to_know(
    once: Said, sandbox: Sandbox, server: Channels
) -> None:
    reach(sandbox, server, on_call=("ada", "phone"))
    said = once("--severity", f"critical: health fails, {SECRET}")
    assert "channel on-call 1 (json://127.0.0.1): delivered (" in said
    assert "on-call engineer alerted: done at T+0:0" in said
    assert sorted(told(server)) == ["ada", "phone"]
    for words in (
        f"ON-CALL ALERT: sandbox, incident {ID}",
        "Target: sandbox",
        "Severity: critical: health fails, [redacted]",
        "(T+0); it is T+0:0",
        "Why you are told: you are on call",
        "To do: assess at once",
        "Decision: none yet",
        f"contacts answer {ID} --target={sandbox.profile} --as NAME --decision 'roll back'|",
    ):
        assert words in message(server)
    kept = records(sandbox)
    events = [record["event"] for record in kept]
    assert events == ["detected", "alerted", "alerted"]
    proof = kept[1]
    assert proof["message"] == message(server, 0)
    assert proof["user"]
    assert (proof["channel"], proof["delivered"]) == ("on-call 1 (json://127.0.0.1)", True)
    assert proof["seconds"] >= 0


def test_who_is_never_reached_is_passed_over_and_it_is_loud(
    once: Said, say: Said, sandbox: Sandbox, server: Channels, passing: Clock
) -> None:
    reach(sandbox, server)
    server.statuses["ada"] = 500
    said = once(code=ExitCode.FAILED)
    assert told(server) == ["ada", "ada", "ada", "grace"]
    assert "TECH LEAD ALERT: " in message(server)
    assert "no channel of the engineer on call took the alert (on-call 1" in message(server)
    assert "(NOT DELIVERED: on-call 1 (json://127.0.0.1): Apprise" in said
    # It stays so until she is reached, or somebody acknowledges.
    assert "NOT DELIVERED" in once(code=ExitCode.FAILED)
    assert len(server.sent) == 4
    passing.passed = 1.1 * 60
    once(code=ExitCode.FAILED)
    assert told(server)[4:] == ["ada"] * 3
    say("--as", "Grace", "--by", "a call", "--decision", "investigate")
    once()
    assert len(server.sent) == 7


@pytest.mark.usefixtures("passing")
def test_the_clock_goes_on_by_itself_until_the_post_mortem(
    away: Ran, sandbox: Sandbox, server: Channels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contacts, "_POLL_SECONDS", 60.0)
    minutes = {"acknowledge": 3, "decision": 3, "tech_lead": 8, "assessment": 12}
    text = "".join(f"{name} = {value}\n" for name, value in {**minutes, "post_mortem": 16}.items())
    reach(sandbox, server, end=f"[contacts.minutes]\n{text}")
    said = clean(away("contacts", "run"))
    # On-call; nobody has acknowledged; both that the assessment is late; both for the post-mortem.
    assert told(server)[:2] == ["ada", "grace"]
    assert sorted(told(server)[2:]) == ["ada", "ada", "grace", "grace"]
    assert "post-mortem called: done at T+16:00" in said
    (folder,) = (Path(line[10:]) for line in said.splitlines() if line.startswith("incident: "))
    kept = verify_journal(folder / CONTACTS)
    at = [Moment.from_record(record["at"]) for record in kept if record["event"] in {"detected", "alerted"}]
    assert [moment.seconds_since(at[0]) / 60 for moment in at] == pytest.approx([0, 0, 3, 12, 12, 16, 16])


def test_a_rollback_that_has_begun_is_a_decision(
    once: Said, say: Said, sandbox: Sandbox, server: Channels, stopped_clock: Clock
) -> None:
    reach(sandbox, server)
    once()
    (incident(sandbox).folder / UNFINISHED).write_text("{}", encoding="utf-8")
    say("--as", "Ada")
    stopped_clock.passed = 2.1 * 60
    said = once()
    assert told(server) == ["ada"]
    assert "decided: done at T+2:0" in said
    assert "(roll back, by the rollback in this incident" in said


@contextmanager
def running(sandbox: Sandbox) -> Iterator[subprocess.Popen[str]]:
    """Keep the clock in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rollproof", "contacts", "run", f"--incident={ID}"],
        cwd=ROOT,
        env={**os.environ, "ROLLPROOF_TARGET": str(sandbox.profile)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_a_clock_that_is_killed_goes_on_with_what_is_not_recorded(
    once: Said, sandbox: Sandbox, server: Channels
) -> None:
    reach(sandbox, server, on_call=("ada", "phone"), more="delivery_seconds = 20\n")
    server.hangs.add("phone")
    with running(sandbox) as process:
        until(lambda: len(server.sent) == 2)
        # Only one process keeps the clock, and it lets others write.
        said = once(code=ExitCode.USAGE)
        assert f"lock to keep the contact clock of {ID}: expected free, observed held by" in said
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    assert [record["event"] for record in records(sandbox)] == ["detected"]
    server.hangs.clear()
    once()
    assert sorted(told(server)) == ["ada", "ada", "phone", "phone"]
    once()
    assert len(server.sent) == 4
