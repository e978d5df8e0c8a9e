"""The command `respond`: when it begins, what it asks, how it ends, and how it is gone on with."""

from __future__ import annotations

import getpass
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from rollback_actions.check_run import CheckRun
from rollback_actions.respond import respond_run
from rollback_actions.session.journal import Journal
from rollproof.baseline.known_good import current_baseline
from rollproof.errors import ExitCode
from rollproof.incident.incident import RollbackRecord, find_or_create_incident, load_incident, new_incident
from rollproof.incident.journal import verify_journal
from rollproof.incident.kept_samples import read_kept
from rollproof.monitoring.rollback_request import Kind, RollbackRequest
from rollproof.monitoring.samples import SampleWriter, samples_path
from rollproof.monitoring.tree import Action, Decision
from rollproof.planning.refusals import Allowed
from rollproof.planning.unfinished import Unfinished
from rollproof.profile.profile import Target
from rollproof.record_names import RESPONSE, RESPONSE_SAMPLES
from rollproof.system.clock import Moment
from rollproof.system.command import STANDARD_OUTPUT
from rollproof.system.holder import Holder
from rollproof.system.record_files import as_json
from rollproof.verdict import Verdict
from tests.fork_server import ForkServer
from tests.unit.clock import Clock
from tests.unit.clock import ago as earlier
from tests.unit.command_line import Ran
from tests.unit.lock_stand_in import StandInPlace, ended, held, keep_locks_in_memory
from tests.unit.made_samples import Probes, cut_off, requests, samples, value
from tests.unit.response.contacts_stand_in import reach
from tests.unit.team_stand_in import channels


def _monitored(target: Target, of: Callable[[int], Probes]) -> None:
    path = samples_path(target)
    path.unlink(missing_ok=True)
    writer = SampleWriter(path)
    for sample in samples(14, of, well_before=70, target=target.name):
        writer.write(sample)
    writer.close()


def _critical(_: int) -> Probes:
    return {"requests": requests(20)}


def _incident(said: str) -> Path:
    return Path(next(line for line in said.splitlines() if line.startswith("incident: "))[10:])


@pytest.fixture(autouse=True)
def clock(stopped_clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of a whole test: samples are of now however busy this machine is."""
    monkeypatch.setattr("rollproof.monitoring.assessment.is_monitored", lambda _, made: bool(made))
    return stopped_clock


@pytest.fixture
def forked(forks: ForkServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands that it runs be forks."""

    def run_ours(command: Sequence[str], seconds: float, *, output: int) -> ExitCode:
        assert output == STANDARD_OUTPUT
        begin = command.index("rollproof") if "rollproof" in command else 0
        return ExitCode(forks.run("rollproof", *command[begin + 1 :], seconds=seconds).returncode)

    monkeypatch.setattr(respond_run, "run_ours", run_ours)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


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
    assert "\nnext: docker version; for at in 127.0.0.1/9; do " in said
    assert "Roll back now?" not in said
    assert "decision: " not in said
    assert not list(target.folders.incidents.glob(f"*/{RESPONSE}"))


def test_the_plan_is_shown_and_a_no_is_a_no(run: Ran, answer: Callable[[str], None]) -> None:
    _monitored(run.sandbox.target, _critical)
    answer("n\n")
    said = run("respond", code=ExitCode.INVESTIGATE)
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
    found = run.found("assess", f"--samples={folder / RESPONSE_SAMPLES}", code=ExitCode.FAILED)
    first = verify_journal(folder / RESPONSE)[0]["findings"]
    assert as_json(found.assessment) == first
    decided = verify_journal(folder / RESPONSE)[1]
    assert found.decision.action == decided["action"]
    assert [*found.decision.names] == decided["names"]
    assert len(read_kept(folder)) == 84


def test_nobody_at_the_keyboard_is_not_a_yes(run: Ran, answer: Callable[[str], None]) -> None:
    _monitored(run.sandbox.target, _critical)
    answer("")
    said = run("respond", code=ExitCode.INTERRUPTED)
    incident = _incident(said)
    assert [record["event"] for record in verify_journal(incident / RESPONSE)] == ["assessed", "decided"]
    # Asked again, it goes on with that, and does not assess anew.
    answer("n\n")
    said = run("respond", code=ExitCode.INVESTIGATE)
    assert f"resuming the response of incident {incident.name}" in said
    assert "severity: " not in said


@pytest.mark.parametrize("boot", [False, True], ids=["long ago", "another boot"])
@pytest.mark.parametrize("commanded", [False, True], ids=["agreed", "commanded"])
def test_what_was_agreed_to_long_ago_is_assessed_and_asked_anew(
    run: Ran,
    answer: Callable[[str], None],
    clock: Clock,
    commands: list[list[str]],
    boot: bool,  # noqa: FBT001 - of a table
    commanded: bool,  # noqa: FBT001 - of a table
) -> None:
    """It was killed once somebody had said yes, and before its rollback had begun."""

    def kill(*_: object) -> ExitCode:
        raise KeyboardInterrupt

    _monitored(run.sandbox.target, _critical)
    with run.monkeypatch.context() as patched:
        name = "roll_back" if commanded else "has_begun"
        patched.setattr(respond_run._Hands, name, kill)
        if not commanded:
            patched.setattr("rollback_actions.respond.response.Response._rolled_back", kill)
        answer("y\n")
        incident = _incident(run("respond", code=ExitCode.INTERRUPTED))
    clock.turn(3600)
    if boot:
        clock.reboot()
    _monitored(run.sandbox.target, _critical)
    answer("n\n")
    said = run("respond", code=ExitCode.INVESTIGATE)
    assert f"resuming the response of incident {incident.name}" in said
    assert "\nassessed and asked anew: the full rollback, agreed to by " in said
    assert "\nseverity: critical\n" in said
    assert "Roll back now?" in said
    assert commands == []
    lapsed = [one for one in verify_journal(incident / RESPONSE) if one["event"] == "lapsed"]
    assert len(lapsed) == 1
    assert ("another boot" in lapsed[0]["reason"]) is boot


def test_a_rollback_that_has_begun_is_resumed_however_long_ago(
    run: Ran, clock: Clock, answer: Callable[[str], None], commands: list[list[str]]
) -> None:
    def kill(hands: respond_run._Hands, *_: object) -> ExitCode:
        Unfinished.begin(hands.incident, RollbackRequest(Kind.FULL, run.sandbox.commit))
        raise KeyboardInterrupt

    _monitored(run.sandbox.target, _critical)
    with run.monkeypatch.context() as patched:
        patched.setattr(respond_run._Hands, "roll_back", kill)
        answer("y\n")
        run("respond", code=ExitCode.INTERRUPTED)
    clock.turn(3600)
    clock.reboot()
    answer("")
    # The clock is that of the beginning: an hour is more than the objective.
    said = run("respond", code=ExitCode.FAILED)
    assert "response: resume operations, later than the objective" in said
    assert "asked anew" not in said
    ((*words, _),) = commands
    assert "resume" in words


@pytest.mark.usefixtures("forked")
def test_a_rollback_that_cannot_be_done_calls_for_hands(run: Ran, answer: Callable[[str], None]) -> None:
    _monitored(run.sandbox.target, _critical)
    answer("y\n")
    said = run("respond", code=ExitCode.FAILED)
    assert "response: manual intervention: the full rollback ended with exit code 3" in said
    assert "MANUAL INTERVENTION: what to type next\n  nothing was changed; decide again: " in said
    assert "rollback resume" not in said


@pytest.mark.parametrize("holder", [None, ended("rollback service")])
def test_one_that_did_not_succeed_is_gone_on_with_and_taken_over_only_where_that_is_needed(
    run: Ran,
    answer: Callable[[str], None],
    place: StandInPlace,
    monkeypatch: pytest.MonkeyPatch,
    holder: Holder | None,
) -> None:
    def roll_back(hands: respond_run._Hands, *_: object, **__: object) -> ExitCode:
        Unfinished.begin(hands.incident, RollbackRequest(Kind.FULL, run.sandbox.commit))
        place.kept = {} if holder is None else {1: holder.record()}
        return ExitCode.FAILED

    monkeypatch.setattr(respond_run._Hands, "roll_back", roll_back)
    _monitored(run.sandbox.target, _critical)
    answer("y\n")
    said = run("respond", code=ExitCode.FAILED)
    assert "  how far it came:  " in said
    assert "rollback status" in said
    (line,) = [line for line in said.splitlines() if "  then resume:" in line]
    assert "rollback resume" in line
    assert ("--take-over" in line) is (holder is not None)
    assert "rollproof verify --incident=" in said


def test_one_that_is_done_and_not_verified_is_not_gone_on_with(
    run: Ran, answer: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def roll_back(hands: respond_run._Hands, *_: object, **__: object) -> ExitCode:
        unfinished = Unfinished.begin(hands.incident, RollbackRequest(Kind.FULL, run.sandbox.commit))
        hands.incident.write_rollback(unfinished.outcome(Verdict.PASSED, Moment.now()))
        unfinished.end()
        return ExitCode.VERIFIED

    monkeypatch.setattr(respond_run._Hands, "roll_back", roll_back)
    monkeypatch.setattr(respond_run._Hands, "verify", lambda _: ExitCode.FAILED)
    _monitored(run.sandbox.target, _critical)
    answer("y\n")
    said = run("respond", code=ExitCode.FAILED)
    assert "it is rolled back; why it is not well: docker compose" in said
    assert "rollproof verify --incident=" in said
    assert "rollback resume" not in said


@pytest.mark.parametrize(("ago", "commands"), [(-60.0, 1), (60.0, 0)], ids=["an earlier one", "its own"])
def test_a_rollback_that_the_incident_had_before_is_not_the_one_that_was_cut_off(
    run: Ran, monkeypatch: pytest.MonkeyPatch, ago: float, commands: int
) -> None:
    """It was killed before its own had begun: the earlier one is no proof of it."""
    target = run.sandbox.target
    incident = new_incident(target.folders.incidents, target.name)
    unfinished = Unfinished.begin(incident, RollbackRequest(Kind.FULL, run.sandbox.commit))
    incident.write_rollback(unfinished.outcome(Verdict.PASSED, Moment.now()))
    unfinished.end()
    asked: list[list[str]] = []

    def command(_: object, words: list[str]) -> ExitCode:
        asked.append(words)
        return ExitCode.FAILED

    monkeypatch.setattr(respond_run._Hands, "_run", command)
    hands = respond_run._Hands(target, run.sandbox.profile, incident, Allowed(None), None, auto=True)
    begun = earlier(ago)
    code = hands.roll_back(Decision(Action.FULL, "its requests fail"), begun)
    assert len(asked) == commands
    assert code is (ExitCode.FAILED if commands else ExitCode.VERIFIED)
    assert all("full" in words and f"--incident={incident.id}" in words for words in asked)


def test_what_is_wrong_now_is_no_part_of_a_response_that_has_ended(
    run: Ran, answer: Callable[[str], None]
) -> None:
    _monitored(run.sandbox.target, _critical)
    answer("n\n")
    folder = _incident(run("respond", code=ExitCode.INVESTIGATE))
    before = (folder / RESPONSE).read_bytes()
    said = run("respond", f"--incident={folder.name}", code=ExitCode.USAGE)
    assert f"response of incident {folder.name}: expected none yet, or one to resume" in said
    assert "observed one that has ended: declined: nobody said yes" in said
    assert "severity: " not in said
    assert (folder / RESPONSE).read_bytes() == before


def test_responses_of_others_and_damaged_ones_keep_nobody_from_what_is_wrong_now(
    run: Ran, answer: Callable[[str], None]
) -> None:
    incidents = run.sandbox.target.folders.incidents
    for name, target, journal in (
        ("other", "of-somebody-else", b""),
        ("damaged", run.sandbox.target.name, b"garbage\n"),
        ("unreadable", "", b""),
    ):
        folder = find_or_create_incident(incidents, target or "unreadable", name).folder
        record = (folder / "incident.json").read_text()
        (folder / "incident.json").write_text(record if target else "{")
        (folder / RESPONSE).write_bytes(journal)
        if not journal:
            Journal(folder / RESPONSE, str).write("assessed")
    _monitored(run.sandbox.target, _critical)
    answer("n\n")
    said = run("respond", code=ExitCode.INVESTIGATE)
    assert "not resumed: record 0 of the journal: " in said
    assert f"{incidents / 'unreadable' / 'incident.json'}" in said
    assert "of-somebody-else" not in said
    assert "response: declined" in said
    assert _incident(said).name not in {"other", "damaged", "unreadable"}


def test_a_mistyped_incident_is_said_before_the_assessment(run: Ran) -> None:
    _monitored(run.sandbox.target, _critical)
    said = run("respond", "--incident=../x", code=ExitCode.USAGE)
    assert said.startswith("incident id: expected letters, digits")


@pytest.mark.parametrize("secret", [False, True])
def test_what_is_verified_and_late_calls_for_no_hands(
    run: Ran,
    answer: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    secret: bool,  # noqa: FBT001 - of a table
) -> None:
    """Checks that all passed end with 1 when it was down for too long, or a secret is in the record."""

    def check(_: CheckRun, *options: str) -> ExitCode:
        incident = load_incident(run.sandbox.target.folders.incidents / options[-1].partition("=")[2])
        incident.close()
        if secret:
            incident.reopen()
        return ExitCode.FAILED

    def roll_back(hands: respond_run._Hands, *_: object) -> ExitCode:
        now = Moment.now()
        hands.incident.write_rollback(RollbackRecord("c" * 40, Verdict.PASSED, 0.0, now, now))
        return ExitCode.VERIFIED

    monkeypatch.setattr(respond_run._Hands, "roll_back", roll_back)
    monkeypatch.setattr(CheckRun, "run", check)
    monkeypatch.setattr(respond_run, "tally", lambda *_: SimpleNamespace(verified=True))
    monkeypatch.setenv("ROLLPROOF_RTO_SECONDS", "5")
    _monitored(run.sandbox.target, _critical)
    answer("y\n")
    said = run("respond", code=ExitCode.FAILED)
    assert ("response: resume operations, later than the objective: downtime: " in said) is not secret
    assert ("MANUAL INTERVENTION" in said) is secret


def _held(run: Ran) -> None:
    """Leave the same rollback as done a moment ago, and not verified."""
    target, now = run.sandbox.target, Moment.now()
    baseline = current_baseline(target).id
    record = RollbackRecord(
        *(run.sandbox.commit, Verdict.PASSED, 1.0, now, now, Kind.FULL), baseline=baseline
    )
    new_incident(target.folders.incidents, target.name).write_rollback(record)


def _protected(run: Ran) -> None:
    run.monkeypatch.setenv("ROLLPROOF_PROTECTED", "true")


def _over_budget(run: Ran) -> None:
    run.monkeypatch.setenv("ROLLPROOF_ROLLBACK_SECONDS", "1")


def _locked(run: Ran) -> None:
    """Have a lock in the engine that nobody will give back."""
    stand_in = keep_locks_in_memory(run.monkeypatch)
    stand_in.kept = {1: ended("backup").record()}


ALLOWED = [
    (_held, "--again", "hold_seconds of the profile", {"again": True}),
    (_protected, "--confirm=sandbox", "add --confirm sandbox", {"confirm": "sandbox"}),
    (_over_budget, "--over-budget", "add --over-budget", {"over_budget": True}),
    (_locked, "--take-over", "add --take-over", {"take_over": True}),
]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of rollbacks that were run; each is as one that succeeds."""
    ran: list[list[str]] = []

    def succeed(hands: respond_run._Hands, words: list[str]) -> ExitCode:
        ran.append(words)
        unfinished = Unfinished.begin(hands.incident, RollbackRequest(Kind.FULL, "c" * 40))
        hands.incident.write_rollback(unfinished.outcome(Verdict.PASSED, Moment.now()))
        unfinished.end()
        return ExitCode.VERIFIED

    monkeypatch.setattr(respond_run._Hands, "_run", succeed)
    monkeypatch.setattr(respond_run._Hands, "verify", lambda _: ExitCode.VERIFIED)
    return ran


@pytest.mark.parametrize("auto", [False, True], ids=["asked", "auto"])
@pytest.mark.parametrize(
    ("refused", "option", "hint", "allowed"), ALLOWED, ids=["hold", "protected", "over budget", "lock"]
)
def test_nobody_is_asked_for_what_is_refused_until_it_is_allowed(
    run: Ran,
    answer: Callable[[str], None],
    commands: list[list[str]],
    refused: Callable[[Ran], None],
    option: str,
    hint: str,
    allowed: dict[str, str | bool],
    *,
    auto: bool,
) -> None:
    words = ["--auto"] if auto else []
    run.monkeypatch.setenv("ROLLPROOF_RESPONDING__AUTO", "true")
    refused(run)
    _monitored(run.sandbox.target, _critical)
    answer("y\n")
    said = run("respond", *words, code=ExitCode.USAGE)
    assert "Roll back now?" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("refused: ")]
    assert hint in line + said.partition(line)[2]
    assert option.partition("=")[0] in line
    assert commands == []
    assert [record["event"] for record in verify_journal(_incident(said) / RESPONSE)] == [
        *("assessed", "decided", "ended"),
    ]
    # The samples are to be of now, however long that took.
    _monitored(run.sandbox.target, _critical)
    answer("y\n")
    said = run("respond", *words, option)
    assert ("Roll back now?" in said) is not auto
    assert "refused: " not in said
    ((*_, last),) = commands
    assert last == f"--incident={_incident(said).name}"
    assert option in commands[0]
    first, *_ = verify_journal(_incident(said) / RESPONSE)
    assert (first["event"], first["by"]) == ("allowed", getpass.getuser())
    assert allowed.items() <= first.items()


def test_what_no_option_allows_is_not_asked_for_either(
    run: Ran, answer: Callable[[str], None], place: StandInPlace, commands: list[list[str]]
) -> None:
    """Another one works on the target, or has left its data half restored."""
    _monitored(run.sandbox.target, _critical)
    answer("y\n")
    with held(place):
        said = run("respond", "--take-over", code=ExitCode.USAGE)
    assert "refused: lock of target sandbox: expected free" in said
    target = run.sandbox.target
    left = new_incident(target.folders.incidents, target.name)
    Unfinished.begin(left, RollbackRequest(Kind.DATABASE, run.sandbox.commit, ("redis",)))
    _monitored(target, _critical)
    answer("y\n")
    said = run("respond", "--again", "--over-budget", "--take-over", code=ExitCode.USAGE)
    assert "refused: data of sandbox: expected none that is half restored, observed the rollback" in said
    assert "rollback resume" in said
    assert commands == []


def test_one_that_was_killed_keeps_what_was_allowed(
    run: Ran, answer: Callable[[str], None], commands: list[list[str]]
) -> None:
    _held(run)
    _over_budget(run)
    _monitored(run.sandbox.target, _critical)
    # Killed while it asked; by then somebody has allowed both.
    answer("")
    incident = _incident(run("respond", "--again", "--over-budget", code=ExitCode.INTERRUPTED))
    answer("y\n")
    said = run("respond")
    assert f"resuming the response of incident {incident.name}" in said
    assert "allowed: --over-budget --again" in said
    ((*words, _),) = commands
    assert {"--again", "--over-budget"} <= set(words)
    events = [record["event"] for record in verify_journal(incident / RESPONSE)]
    assert events.count("allowed") == 1


def test_a_rollback_that_was_cut_off_is_resumed_with_what_was_allowed(
    run: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = run.sandbox.target
    incident = new_incident(target.folders.incidents, target.name)
    Unfinished.begin(incident, RollbackRequest(Kind.FULL, run.sandbox.commit))
    asked: list[list[str]] = []

    def command(_: object, words: list[str]) -> ExitCode:
        asked.append(words)
        return ExitCode.USAGE

    monkeypatch.setattr(respond_run._Hands, "_run", command)
    allowed = Allowed("sandbox", over_budget=True, again=True)
    hands = respond_run._Hands(target, run.sandbox.profile, incident, allowed, None, auto=True)
    # It has begun: that it is not gone on with is no refusal that has changed nothing.
    assert hands.roll_back(Decision(Action.FULL, "its requests fail"), Moment.now()) is ExitCode.FAILED
    ((*_, resume, confirm, over_budget, take_over, _),) = asked
    assert (resume, confirm, over_budget, take_over) == (
        *("resume", "--confirm=sandbox", "--over-budget", "--take-over"),
    )


@pytest.mark.usefixtures("forked")
def test_auto_is_the_profiles_to_allow(run: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    _monitored(run.sandbox.target, _critical)
    said = run("respond", "--auto", code=ExitCode.USAGE)
    assert "--auto: expected a profile that allows it, observed responding.auto = false" in said
    monkeypatch.setenv("ROLLPROOF_RESPONDING__AUTO", "true")
    said = run("respond", "--auto", code=ExitCode.FAILED)
    agreed = [record for record in verify_journal(_incident(said) / RESPONSE) if record["event"] == "agreed"]
    assert [record["by"] for record in agreed] == ["--auto, which the profile allows"]


@pytest.mark.usefixtures("forked")
def test_the_engineer_on_call_is_alerted_first(run: Ran, answer: Callable[[str], None]) -> None:
    _monitored(run.sandbox.target, _critical)
    with channels() as server:
        reach(run.sandbox, server)
        answer("n\n")
        run("respond", code=ExitCode.INVESTIGATE)
        assert [path.rpartition("/")[2] for path, *_ in server.sent] == ["ada"]
        assert "critical" in server.sent[0][1]["message"]
        # Whom it does not reach stops nothing.
        server.statuses["ada"] = 500
        answer("n\n")
        run("respond", code=ExitCode.INVESTIGATE)
