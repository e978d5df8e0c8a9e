"""The command `respond`: when it begins, what it asks, how it ends, and how it is gone on with."""

from __future__ import annotations

import getpass
import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rollback_actions import check_run
from rollback_actions.contacts.contacts import ContactClock
from rollback_actions.respond import response
from rollback_actions.session.session import Journal
from rollproof.baseline.known_good import current_baseline
from rollproof.errors import ActionFailed, ExitCode
from rollproof.incident.incident import RollbackRecord, find_or_create_incident, load_incident, new_incident
from rollproof.incident.journal import verify_journal
from rollproof.incident.rollback_request import RollbackKind, RollbackRequest
from rollproof.incident.samples import read_kept, samples_path
from rollproof.planning.refusals import Allowed
from rollproof.planning.unfinished import Unfinished, unfinished_of
from rollproof.profile.profile import Target
from rollproof.record_names import RESPONSE, SAMPLES
from rollproof.system.clock import Moment
from rollproof.system.holder import Holder
from rollproof.system.record_files import as_json
from rollproof.verdict import Verdict
from tests.unit.clock import Clock
from tests.unit.command_line import Ran
from tests.unit.made_samples import Probes, cut_off, requests, samples, value, write_samples
from tests.unit.team_stand_in import Channels, reach
from tests.world.lock import StandInPlace, elsewhere, ended


def _monitored(target: Target, of: Callable[[int], Probes]) -> None:
    path = samples_path(target)
    path.unlink(missing_ok=True)
    write_samples(path, samples(14, of, well_before=70, target=target.name))


def _critical(_: int) -> Probes:
    return {"requests": requests(20)}


def _slow(_: int) -> Probes:
    return {"page": value(9000), "containers": value(1, ok=False, services=("backend",))}


def _incident(said: str) -> Path:
    return Path(next(line for line in said.splitlines() if line.startswith("incident: "))[10:])


@pytest.fixture(autouse=True)
def clock(stopped_clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of a whole test: samples are of now however busy this machine is."""
    monkeypatch.setattr("rollproof.monitoring.assessment.is_monitored", lambda _, made: bool(made))
    return stopped_clock


Respond = Callable[..., str]


@pytest.fixture
def respond(run: Ran, monkeypatch: pytest.MonkeyPatch) -> Respond:
    """Respond to samples in which all requests fail, or to those that are there, with an answer typed."""

    def responded(
        answer: str, *words: str, code: ExitCode = ExitCode.VERIFIED, monitored: bool = True
    ) -> str:
        if monitored:
            _monitored(run.sandbox.target, _critical)
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        return run("respond", *words, code=code)

    return responded


@dataclass
class Acts:
    """What the response's commands would do, in their place: `did` are those that ran."""

    target: Target
    fault: BaseException | None = None
    begins: bool = True
    passes: bool = True
    verified: ExitCode = ExitCode.VERIFIED
    did: list[str] = field(default_factory=list)
    allowed: list[Allowed] = field(default_factory=list)

    def begin(self, _: Path, kind: RollbackKind, name: str, incident: str, allowed: Allowed) -> None:
        self.did.append(f"{kind} {name}")
        self.allowed.append(allowed)
        there = load_incident(self.target.folders.incidents / incident)
        if self.begins:
            self._roll_back(Unfinished.begin(there, RollbackRequest(kind, "c" * 40)))
        if self.fault is not None:
            raise self.fault

    def resume(self, _: Path, allowed: Allowed) -> None:
        self.did.append("resume")
        self.allowed.append(allowed)
        (unfinished,) = unfinished_of(self.target.folders.incidents, self.target.name)
        self._roll_back(unfinished)
        if self.fault is not None:
            raise self.fault

    def _roll_back(self, unfinished: Unfinished) -> None:
        if self.passes:
            unfinished.incident.write_rollback(unfinished.outcome(Verdict.PASSED, Moment.now()))
            unfinished.end()

    def verify(self, *_: object, **__: object) -> ExitCode:
        self.did.append("verify")
        return self.verified


@pytest.fixture
def acts(run: Ran, monkeypatch: pytest.MonkeyPatch) -> Acts:
    acts = Acts(run.sandbox.target)
    monkeypatch.setattr(response, "begin", acts.begin)
    monkeypatch.setattr(response, "resume", acts.resume)
    monkeypatch.setattr(check_run, "run_checks", acts.verify)
    return acts


def _events(folder: Path) -> list[str]:
    return [record["event"] for record in verify_journal(folder / RESPONSE)]


def test_what_is_well_or_unknown_opens_no_incident(run: Ran) -> None:
    target = run.sandbox.target
    _monitored(target, lambda _: {})
    said = run("respond")
    assert "severity: healthy" in said
    assert "\nno response is begun: continue monitoring: nothing is beyond its limit" in said
    _monitored(target, lambda _: {"requests": value(None, ok=None)})
    said = run("respond", code=ExitCode.BROKEN)
    assert "severity: unknown" in said
    assert "\nno response is begun: investigate: nobody knows how bad it is" in said
    _monitored(target, lambda _: cut_off())
    said = run("respond", code=ExitCode.BROKEN)
    assert "severity: unknown: this machine may be cut off: neither the engine nor any store" in said
    assert "\nnext: docker version; curl --max-time 3 " in said
    assert "Roll back now?" not in said
    assert "decision: " not in said
    assert not list(target.folders.incidents.glob(f"*/{RESPONSE}"))


def test_the_plan_is_shown_and_a_no_is_a_no(run: Ran, respond: Respond) -> None:
    said = respond("n\n", code=ExitCode.INVESTIGATE)
    assert "decision: full rollback" in said
    assert "Roll back now?" in said
    assert "response: declined: nobody said yes to the full rollback" in said
    folder = _incident(said)
    assert [record["event"] for record in verify_journal(folder / RESPONSE)] == [
        "assessed",
        "decided",
        "ended",
    ]
    # The samples that led to it give the same answer at any time.
    found = run.found("assess", f"--samples={folder / SAMPLES}", code=ExitCode.FAILED)
    first = verify_journal(folder / RESPONSE)[0]["findings"]
    assert as_json(found.assessment) == first
    decided = verify_journal(folder / RESPONSE)[1]
    assert found.decision.action == decided["action"]
    assert [*found.decision.names] == decided["names"]
    assert len(read_kept(folder)) == 84


def test_it_rolls_back_and_verifies_and_resumes_operations(
    run: Ran, respond: Respond, acts: Acts, clock: Clock
) -> None:
    said = respond("y\n")
    assert "response: resume operations: the rollback is verified" in said
    assert acts.did == [f"full {run.sandbox.commit}", "verify"]
    folder = _incident(said)
    assert _events(folder) == [
        *("assessed", "decided", "agreed", "rolling back", "rolled back", "verifying", "verified", "ended")
    ]
    ended = verify_journal(folder / RESPONSE)[-1]
    assert ended["downtime_seconds"] > 0
    # What is wrong next is an incident of its own.
    clock.turn(3600)
    assert _incident(respond("n\n", code=ExitCode.INVESTIGATE)) != folder


def test_it_investigates_what_is_not_critical_and_decides_by_what_it_is_then(
    run: Ran, respond: Respond, acts: Acts, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, seconds = run.sandbox.target, 60.0
    monkeypatch.setenv("ROLLPROOF_RESPONDING__INVESTIGATION_SECONDS", str(seconds))
    _monitored(target, _slow)
    waited: list[float] = []

    def wait(seconds: float) -> None:
        if seconds < 1:
            return  # somebody else's
        waited.append(seconds)
        clock.turn(seconds)
        _monitored(target, _slow if len(waited) < 2 else then)

    monkeypatch.setattr(time, "sleep", wait)
    then: Callable[[int], Probes] = _critical
    said = respond("y\n", monitored=False)
    assert (acts.did, len(waited)) == ([f"full {run.sandbox.commit}", "verify"], 2)
    assert _events(_incident(said))[:4] == ["assessed", "investigating", "assessed", "decided"]
    waited.clear()
    clock.turn(3600)
    _monitored(target, _slow)
    then = lambda _: {}  # noqa: E731
    said = run("respond")
    assert sum(waited) == pytest.approx(seconds)
    assert "response: continue monitoring" in said
    # A figure that is bad for a moment just then does not go on; one that becomes critical may.
    for last, ending, code in (
        (_slow, "continue monitoring", ExitCode.VERIFIED),
        (lambda _: {"health": value(20, ok=False)}, "manual intervention", ExitCode.FAILED),
    ):
        waited.clear()
        clock.turn(3600)
        _monitored(target, _slow)
        then = partial(lambda probes, beat: probes(beat) if beat == 13 else {}, last)
        assert f"response: {ending}" in run("respond", code=code)
    assert len(acts.did) == 2


def test_nobody_at_the_keyboard_is_not_a_yes(run: Ran, respond: Respond, acts: Acts) -> None:
    incident = _incident(respond("", code=ExitCode.INTERRUPTED))
    assert _events(incident) == ["assessed", "decided"]
    # Run again, it assesses and asks again, in the same incident.
    said = respond("y\n")
    assert f"resuming the response of incident {incident.name}" in said
    assert "severity: critical" in said
    assert acts.did == [f"full {run.sandbox.commit}", "verify"]
    assert _events(incident)[2:4] == ["assessed", "decided"]


def test_a_response_left_at_its_question_is_no_part_of_a_later_outage(
    clock: Clock, respond: Respond, acts: Acts
) -> None:
    left = _incident(respond("", code=ExitCode.INTERRUPTED))
    clock.turn(1801)
    said = respond("y\n")
    assert _incident(said) != left
    assert f"not resumed: the response of incident {left.name} was left 30 min ago" in said
    assert acts.did[-1] == "verify"


@pytest.mark.parametrize("holder", [None, ended("rollback full"), elsewhere("rollback full")])
def test_a_rollback_that_has_begun_is_resumed_however_long_ago(
    clock: Clock, respond: Respond, acts: Acts, place: StandInPlace, holder: Holder | None
) -> None:
    acts.fault, acts.passes = KeyboardInterrupt(), False
    respond("y\n", code=ExitCode.INTERRUPTED)
    place.kept = {} if holder is None else {1: holder.record()}
    clock.turn(3600)
    clock.reboot()
    acts.fault, acts.passes = None, True
    # The clock is that of the beginning: an hour is more than the objective.
    said = respond("", "--over-budget", code=ExitCode.FAILED, monitored=False)
    assert "response: resume operations, later than the objective" in said
    assert acts.did[1:] == ["resume", "verify"]
    # Only the lock of a process that has certainly ended is taken over without a person's word.
    over = holder is not None and holder.host != "elsewhere"
    assert acts.allowed[-1] == Allowed(over_budget=True, take_over=over)


def test_a_rollback_that_is_done_is_verified_when_it_is_run_again(
    run: Ran, respond: Respond, acts: Acts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object, **__: object) -> ExitCode:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(check_run, "run_checks", kill)
        respond("y\n", code=ExitCode.INTERRUPTED)
    assert "response: resume operations" in respond("", monitored=False)
    assert acts.did == [f"full {run.sandbox.commit}", "verify"]


FAILURE = ActionFailed(what="restore", expected="b", observed="c", source="d", hint="e")


def test_a_rollback_that_did_not_begin_calls_for_hands(respond: Respond, acts: Acts) -> None:
    acts.fault, acts.begins = FAILURE, False
    said = respond("y\n", code=ExitCode.FAILED)
    assert "restore: expected b, observed c" in said
    assert "response: manual intervention: the rollback ended with exit code 1" in said
    assert "MANUAL INTERVENTION: what to type next\n  nothing was changed: decide on another rollback" in said
    assert "rollback resume" not in said


def test_one_that_is_done_and_not_verified_is_not_to_be_resumed(respond: Respond, acts: Acts) -> None:
    acts.verified = ExitCode.FAILED
    said = respond("y\n", code=ExitCode.FAILED)
    assert "it is rolled back; why it is not well: docker compose" in said
    assert "rollproof verify --incident=" in said
    assert "rollback resume" not in said


def test_what_is_wrong_now_is_no_part_of_a_response_that_has_ended(run: Ran, respond: Respond) -> None:
    folder = _incident(respond("n\n", code=ExitCode.INVESTIGATE))
    before = (folder / RESPONSE).read_bytes()
    said = run("respond", f"--incident={folder.name}", code=ExitCode.USAGE)
    assert f"response of incident {folder.name}: expected none yet, or one to resume" in said
    assert "observed one that has ended: declined: nobody said yes" in said
    assert "severity: " not in said
    assert (folder / RESPONSE).read_bytes() == before


def _held(run: Ran) -> None:
    """Leave the same rollback as done a moment ago, and not verified."""
    target, now = run.sandbox.target, Moment.now()
    baseline = current_baseline(target).id
    record = RollbackRecord(
        *(run.sandbox.commit, Verdict.PASSED, 1.0, now, now, RollbackKind.FULL), baseline=baseline
    )
    new_incident(target.folders.incidents, target.name).write_rollback(record)


@pytest.mark.parametrize(
    ("variable", "option", "hint", "allowed", "auto"),
    [
        (None, "--again", "hold_seconds of the profile", {"again": True}, False),
        (("PROTECTED", "true"), "--confirm=sandbox", "add --confirm sandbox", {"confirm": "sandbox"}, True),
        (("ROLLBACK_SECONDS", "1"), "--over-budget", "add --over-budget", {"over_budget": True}, False),
    ],
    ids=["hold", "protected", "over budget"],
)
def test_nobody_is_asked_for_what_is_refused_until_it_is_allowed(
    run: Ran,
    respond: Respond,
    acts: Acts,
    variable: tuple[str, str] | None,
    option: str,
    hint: str,
    allowed: dict[str, Any],
    *,
    auto: bool,
) -> None:
    words = ["--auto"] if auto else []
    run.monkeypatch.setenv("ROLLPROOF_RESPONDING__AUTO", "true")
    if variable is None:
        _held(run)
    else:
        run.monkeypatch.setenv(f"ROLLPROOF_{variable[0]}", variable[1])
    said = respond("y\n", *words, code=ExitCode.USAGE)
    assert "Roll back now?" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("refused: ")]
    assert hint in line + said.partition(line)[2]
    assert option.partition("=")[0] in line
    assert acts.did == []
    assert _events(_incident(said)) == ["assessed", "decided", "ended"]
    # The samples are to be of now, however long that took.
    said = respond("y\n", *words, option)
    assert ("Roll back now?" in said) is not auto
    assert "refused: " not in said
    assert acts.did == [f"full {run.sandbox.commit}", "verify"]
    assert acts.allowed == [replace(Allowed(), **allowed)]
    first, *_ = verify_journal(_incident(said) / RESPONSE)
    assert (first["event"], first["by"]) == ("allowed", getpass.getuser())
    assert allowed.items() <= first.items()


def test_auto_is_the_profiles_to_allow(run: Ran, acts: Acts, monkeypatch: pytest.MonkeyPatch) -> None:
    _monitored(run.sandbox.target, _critical)
    said = run("respond", "--auto", code=ExitCode.USAGE)
    assert "--auto: expected a profile that allows it, observed responding.auto = false" in said
    monkeypatch.setenv("ROLLPROOF_RESPONDING__AUTO", "true")
    said = run("respond", "--auto")
    agreed = [record for record in verify_journal(_incident(said) / RESPONSE) if record["event"] == "agreed"]
    assert [record["by"] for record in agreed] == ["--auto, which the profile allows"]
    assert acts.did == [f"full {run.sandbox.commit}", "verify"]


def test_the_engineer_on_call_is_alerted_first(
    run: Ran, respond: Respond, server: Channels, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ContactClock, "_sleep", lambda _, seconds: clock.turn(seconds))
    reach(run.sandbox, server)
    respond("n\n", code=ExitCode.INVESTIGATE)
    assert [path.rpartition("/")[2] for path, *_ in server.sent] == ["ada"]
    assert "critical" in server.sent[0][1]["message"]
    # Whom it does not reach stops nothing.
    server.statuses["ada"] = 500
    respond("n\n", code=ExitCode.INVESTIGATE)


def test_the_response_of_another_target_is_not_resumed(run: Ran, respond: Respond) -> None:
    other = find_or_create_incident(run.sandbox.target.folders.incidents, "another", "other").folder
    Journal(other / RESPONSE, str).write("assessed")
    assert _incident(respond("n\n", code=ExitCode.INVESTIGATE)) != other
