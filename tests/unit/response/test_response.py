"""The response to an incident: each way through the runbook's flow, also cut off and gone on with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from rollback_actions.respond import response
from rollback_actions.respond.response import CODES, Response, ResponseOutcome, allow, allowed_in, is_open
from rollback_actions.session.journal import Journal
from rollproof.errors import ExitCode, UsageProblem
from rollproof.incident.downtime import Downtime, Since
from rollproof.incident.journal import verify_journal
from rollproof.incident.response_record import Ending
from rollproof.monitoring.assessment import Assessed
from rollproof.monitoring.severity import assess
from rollproof.monitoring.tree import Decision
from rollproof.planning.refusals import Allowed
from rollproof.profile.bands import Bands
from rollproof.profile.profile import Target, load_target
from rollproof.record_names import RESPONSE
from rollproof.system.clock import Moment
from tests.unit.made_samples import BEAT, Probes, cut_off, requests, samples, value


class CutOffError(Exception):
    """The process ended here."""


def seen(of: Callable[[int], Probes], count: int = 14) -> Assessed:
    made = tuple(samples(count, of, well_before=70))
    return Assessed(assess(Bands(), made, BEAT), made, monitored=True)


HEALTHY = seen(lambda _: {})
CRITICAL = seen(lambda _: {"requests": requests(20)})
SLOW = seen(lambda _: {"page": value(9000), "containers": value(1, ok=False, services=("backend",))})
SLOW_SERVICE = seen(
    lambda _: {"health": value(None, ok=False), "containers": value(1, ok=False, services=("backend",))}
)
CUT_OFF = seen(lambda _: cut_off())
UNKNOWN = seen(lambda _: {"requests": value(None, ok=None)})
# Each test begins then, however long the tests before it took.
BEGAN = Moment.now()


@dataclass
class StandInHands:
    """Does nothing, and says what it is told to; may be cut off in one of its deeds."""

    now: Iterator[Assessed] = field(default_factory=lambda: iter(()))
    refused: Sequence[UsageProblem] = ()
    who: str | None = "ada"
    begun: bool = True
    rollback: ExitCode = ExitCode.VERIFIED
    verification: ExitCode = ExitCode.VERIFIED
    cut_off: str = ""
    objective: float = 600.0
    done: list[str] = field(default_factory=list)
    clock: list[float] = field(default_factory=lambda: [0.0])
    thinking: Iterator[float] = field(default_factory=lambda: iter(()))
    why: list[str] = field(default_factory=list)

    def _do(self, deed: str) -> None:
        self.done.append(deed)
        if self.cut_off == deed.split(maxsplit=1)[0]:
            self.cut_off = ""
            raise CutOffError

    def assess(self) -> Assessed:
        self._do("assess")
        return next(self.now)

    def assess_anew(self, why: str) -> Assessed:
        self.why.append(why)
        return self.assess()

    def has_begun(self, since: Moment) -> bool:
        return self.begun

    def show(self, decision: Decision) -> Sequence[UsageProblem]:
        return self.refused

    def agree(self, decision: Decision) -> str | None:
        self._do(f"agree {decision.action}")
        self.clock[0] += next(self.thinking, 0.0)
        return self.who

    def roll_back(self, decision: Decision, begun: Moment | None) -> ExitCode:
        self._do(f"{'roll-back' if begun is None else 'resume'} {decision.action}")
        return self.rollback

    def verify(self) -> ExitCode:
        self._do("verify")
        return self.verification

    def downtime(self, verified: Moment) -> Downtime:
        assert CRITICAL.assessment.first_bad is not None
        seconds = verified.seconds_since(CRITICAL.assessment.first_bad)
        return Downtime(CRITICAL.assessment.first_bad, Since.RESPONSE, seconds, self.objective, verified)

    def wait(self, seconds: float) -> None:
        self._do("wait")
        self.clock[0] += seconds


@dataclass
class Begun:
    """A response in a folder; the clock goes on only while it waits."""

    target: Target
    folder: Path

    def run(self, hands: StandInHands, assessed: Assessed | None) -> ResponseOutcome:
        journal = Journal(self.folder / RESPONSE, str)
        return Response(self.target, journal, verify_journal(journal.path), hands).run(assessed)

    def events(self) -> list[str]:
        return [record["event"] for record in verify_journal(self.folder / RESPONSE)]


@pytest.fixture
def begun(profile: Path, tmp_path: Path) -> Begun:
    return Begun(load_target(profile), tmp_path)


def test_what_is_critical_is_rolled_back_and_verified(begun: Begun) -> None:
    hands = StandInHands()
    outcome = begun.run(hands, CRITICAL)
    assert outcome.ending is Ending.RESUMED
    assert hands.done == ["agree full rollback", "roll-back full rollback", "verify"]
    assert begun.events() == [
        *("assessed", "decided", "agreed", "rolling back", "rolled back", "verifying", "verified", "ended"),
    ]
    # From the first bad sample on, which came before the assessment.
    assert CRITICAL.assessment.first_bad is not None
    assert outcome.downtime is not None
    assert outcome.downtime == pytest.approx(BEGAN.seconds_since(CRITICAL.assessment.first_bad), abs=1)
    assert outcome.downtime >= 55
    ended = verify_journal(begun.folder / RESPONSE)[-1]
    assert (ended["objective_seconds"], ended["downtime_seconds"]) == (600.0, outcome.downtime)


def test_nobody_says_yes(begun: Begun) -> None:
    hands = StandInHands(who=None)
    outcome = begun.run(hands, CRITICAL)
    assert outcome.ending is Ending.DECLINED
    assert hands.done == ["agree full rollback"]


REFUSAL = UsageProblem(what="plan", expected="300 s", observed="700 s", source="p", hint="add --over-budget")


def test_nobody_is_asked_for_what_is_refused(begun: Begun) -> None:
    hands = StandInHands(refused=(REFUSAL,))
    outcome = begun.run(hands, CRITICAL)
    assert outcome.ending is Ending.REFUSED
    assert REFUSAL.summary in outcome.reason
    assert CODES[outcome.ending] is ExitCode.USAGE
    assert hands.done == []
    assert begun.events() == ["assessed", "decided", "ended"]


def test_what_was_refused_only_when_it_began_is_no_failure(begun: Begun) -> None:
    """Another one was quicker while a person thought about it."""
    hands = StandInHands(rollback=ExitCode.USAGE)
    assert begun.run(hands, CRITICAL).ending is Ending.REFUSED
    assert "verify" not in hands.done


def test_what_is_allowed_is_written_down_once_with_who_it_was(begun: Begun) -> None:
    journal = Journal(begun.folder / RESPONSE, str)

    def given(by: str, allowed: Allowed) -> Allowed:
        return allow(journal, verify_journal(journal.path), allowed, by)

    assert given("ada", Allowed()) == Allowed()
    assert given("ada", Allowed(again=True)) == Allowed(again=True)
    assert given("ada", Allowed(again=True)) == Allowed(again=True)
    # Who goes on with it, allows the same, and may allow more.
    assert given("bob", Allowed("sandbox")) == Allowed("sandbox", again=True)
    assert given("eve", Allowed()) == Allowed("sandbox", again=True)
    records = verify_journal(journal.path)
    assert [(record["event"], record["by"]) for record in records] == [("allowed", "ada"), ("allowed", "bob")]
    assert allowed_in(records) == Allowed("sandbox", again=True)
    # Only what was assessed can be gone on with.
    assert not is_open(records)


@pytest.mark.parametrize(
    ("hands", "said"),
    [
        (StandInHands(rollback=ExitCode.FAILED), "the full rollback ended with exit code 1"),
        (StandInHands(verification=ExitCode.BROKEN), "the verification ended with exit code 3"),
    ],
)
def test_a_failure_calls_for_hands(begun: Begun, hands: StandInHands, said: str) -> None:
    outcome = begun.run(hands, CRITICAL)
    assert (outcome.ending, outcome.reason, outcome.downtime) == (Ending.MANUAL, said, None)
    assert ("verify" in hands.done) is (hands.rollback is ExitCode.VERIFIED)


def test_a_downtime_beyond_the_objective_is_a_failure_that_says_so(begun: Begun) -> None:
    outcome = begun.run(StandInHands(objective=50.0), CRITICAL)
    assert outcome.ending is Ending.LATE
    assert outcome.reason.startswith("downtime: expected at most 50 s, observed ")


def test_nothing_that_could_be_rolled_back_calls_for_hands(begun: Begun) -> None:
    outcome = begun.run(StandInHands(), seen(lambda _: {"disk": value(1, ok=False)}))
    assert outcome.ending is Ending.MANUAL
    assert "name it" in outcome.reason


boots: list[str] = []
"""Boots after the first."""


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were waited, which are all that pass."""
    waited, now = [0.0], Moment.now
    boots.clear()

    class Slowed(Moment):
        @classmethod
        def now(cls) -> Slowed:
            moment = now()
            return Slowed(moment.wall, BEGAN.since_boot + waited[0], boots[-1] if boots else moment.boot)

    monkeypatch.setattr(response, "Moment", Slowed)
    monkeypatch.setattr("rollback_actions.session.journal.Moment", Slowed)
    return waited


@pytest.mark.parametrize(
    ("last", "ending", "action"),
    [
        (HEALTHY, Ending.MONITORING, None),
        (SLOW, Ending.RESUMED, "service rollback"),
        (UNKNOWN, Ending.MANUAL, None),
        (CUT_OFF, Ending.CUT_OFF, None),
    ],
)
def test_what_is_not_critical_is_looked_into_for_five_minutes(
    begun: Begun, clock: list[float], last: Assessed, ending: Ending, action: str | None
) -> None:
    hands = StandInHands(now=iter([SLOW] * 30 + [last]), clock=clock)
    outcome = begun.run(hands, SLOW)
    assert outcome.ending is ending
    assert clock == [pytest.approx(300.0)]
    assert hands.done.count("wait") == 30
    assert (f"roll-back {action}" in hands.done) is (action is not None)


def test_what_becomes_critical_meanwhile_is_decided_on_at_once(begun: Begun, clock: list[float]) -> None:
    hands = StandInHands(now=iter([SLOW, CRITICAL]), clock=clock)
    assert begun.run(hands, SLOW).ending is Ending.RESUMED
    assert clock == [pytest.approx(20.0)]
    assert "roll-back full rollback" in hands.done


def test_the_clock_of_an_investigation_survives_a_restart(begun: Begun, clock: list[float]) -> None:
    with pytest.raises(CutOffError):
        begun.run(StandInHands(now=iter([SLOW] * 10), clock=clock, cut_off="assess"), SLOW)
    # While nothing ran, time went on.
    clock[0] += 200
    hands = StandInHands(now=iter([SLOW] * 40), clock=clock)
    assert begun.run(hands, None).ending is Ending.RESUMED
    assert clock == [pytest.approx(300.0)]
    assert begun.events().count("investigating") == 1


def test_a_clock_that_was_set_back_over_a_reboot_makes_an_investigation_no_longer(
    begun: Begun, clock: list[float]
) -> None:
    with pytest.raises(CutOffError):
        begun.run(StandInHands(now=iter([SLOW] * 10), clock=clock, cut_off="assess"), SLOW)
    clock[0] -= 7200
    waited = clock[0]
    begun.run(StandInHands(now=iter([SLOW] * 1000), clock=clock), None)
    assert clock[0] - waited == pytest.approx(300.0)


@pytest.mark.parametrize("deed", ["agree", "roll-back", "verify"])
def test_one_that_is_cut_off_goes_on_and_does_nothing_twice(begun: Begun, deed: str) -> None:
    first, second = StandInHands(cut_off=deed), StandInHands()
    with pytest.raises(CutOffError):
        begun.run(first, CRITICAL)
    outcome = begun.run(second, None)
    assert outcome.ending is Ending.RESUMED
    assert outcome.downtime is not None
    assert outcome.downtime >= 55
    asked = ["agree full rollback"]
    expected = {
        "agree": [*asked, "roll-back full rollback", "verify"],
        # What was begun is gone on with: whether it was done already is the rollback's own to know.
        "roll-back": ["resume full rollback", "verify"],
        "verify": ["verify"],
    }
    assert second.done == expected[deed]
    # It has ended: another run says how, and does nothing.
    third = StandInHands()
    assert begun.run(third, None) == outcome
    assert third.done == []


LIMIT, WEEK = 900.0, 7 * 24 * 3600.0
LATER = [
    # Killed while it asked, before the rollback was commanded, and before it had begun.
    *(
        (deed, seconds, boot)
        for deed in ("agree", "roll-back")
        for seconds, boot in ((LIMIT + 1, ""), (WEEK, ""))
    ),
    *((deed, 1.0, "another") for deed in ("agree", "roll-back")),
]


def kill(begun: Begun, deed: str, clock: list[float], seconds: float, boot: str) -> None:
    with pytest.raises(CutOffError):
        begun.run(StandInHands(cut_off=deed), CRITICAL)
    clock[0] += seconds
    if boot:
        boots.append(boot)


@pytest.mark.parametrize(("deed", "seconds", "boot"), LATER)
def test_what_was_decided_long_ago_or_on_another_boot_is_assessed_and_asked_anew(
    begun: Begun, clock: list[float], deed: str, seconds: float, boot: str
) -> None:
    kill(begun, deed, clock, seconds, boot)
    second = StandInHands(objective=10 * WEEK, now=iter([SLOW_SERVICE]), begun=False)
    assert begun.run(second, None).ending is Ending.RESUMED
    # What is wrong now is another thing, and what was agreed to is not carried out.
    assert second.done == ["assess", "agree service rollback", "roll-back service rollback", "verify"]
    (why,) = second.why
    assert ("agreed to by ada" in why) is (deed != "agree")
    assert ("another boot" in why) is bool(boot)
    lapsed = next(r for r in verify_journal(begun.folder / RESPONSE) if r["event"] == "lapsed")
    assert lapsed["reason"] == why
    events = begun.events()
    assert events[events.index("lapsed") :][:4] == ["lapsed", "assessed", "decided", "agreed"]


@pytest.mark.parametrize(
    ("deed", "seconds", "boot", "hands"),
    [
        ("agree", LIMIT - 1, "", StandInHands()),
        ("roll-back", LIMIT - 1, "", StandInHands(begun=False)),
        # It has begun: that is resumed whenever it may be.
        ("roll-back", WEEK, "", StandInHands()),
        ("roll-back", 1.0, "another", StandInHands()),
        ("verify", WEEK, "another", StandInHands(begun=False)),
    ],
)
def test_what_holds_or_has_begun_is_resumed_without_another_question(
    begun: Begun, clock: list[float], deed: str, seconds: float, boot: str, hands: StandInHands
) -> None:
    kill(begun, deed, clock, seconds, boot)
    begun.run(hands, None)
    assert "assess" not in hands.done
    assert "lapsed" not in begun.events()
    assert hands.done[-1] == "verify"
    assert hands.done.count("agree full rollback") == (deed == "agree")


@pytest.mark.parametrize(
    ("now", "ending", "code"),
    [
        (HEALTHY, Ending.MONITORING, ExitCode.VERIFIED),
        (UNKNOWN, Ending.MANUAL, ExitCode.FAILED),
        (CUT_OFF, Ending.CUT_OFF, ExitCode.BROKEN),
    ],
)
def test_what_is_over_or_not_known_by_then_is_not_asked_for(
    begun: Begun, clock: list[float], now: Assessed, ending: Ending, code: ExitCode
) -> None:
    kill(begun, "roll-back", clock, WEEK, "")
    second = StandInHands(now=iter([now]), begun=False)
    outcome = begun.run(second, None)
    assert (outcome.ending, CODES[outcome.ending]) == (ending, code)
    assert second.done == ["assess"]


def test_what_is_not_critical_by_then_is_investigated_anew(begun: Begun, clock: list[float]) -> None:
    kill(begun, "roll-back", clock, WEEK, "")
    second = StandInHands(objective=10 * WEEK, now=iter([SLOW] * 40), clock=clock, begun=False)
    before = clock[0]
    assert begun.run(second, None).ending is Ending.RESUMED
    assert clock[0] - before == pytest.approx(300.0)
    assert second.done[-3:] == ["agree service rollback", "roll-back service rollback", "verify"]


def test_one_that_was_killed_as_it_assessed_anew_does_so_again(begun: Begun, clock: list[float]) -> None:
    kill(begun, "roll-back", clock, WEEK, "")
    with pytest.raises(CutOffError):
        begun.run(StandInHands(cut_off="assess", begun=False), None)
    assert begun.events()[-1] == "lapsed"
    third = StandInHands(objective=10 * WEEK, now=iter([CRITICAL]), begun=False)
    assert begun.run(third, None).ending is Ending.RESUMED
    assert third.done == ["assess", "agree full rollback", "roll-back full rollback", "verify"]
    assert begun.events().count("lapsed") == 1


def test_a_yes_to_what_was_shown_long_ago_is_asked_for_anew(begun: Begun, clock: list[float]) -> None:
    """The question stood on a terminal for an hour."""
    hands = StandInHands(
        objective=10 * WEEK, now=iter([SLOW_SERVICE]), clock=clock, thinking=iter([3600.0, 10.0])
    )
    assert begun.run(hands, CRITICAL).ending is Ending.RESUMED
    assert hands.done == [
        *("agree full rollback", "assess", "agree service rollback", "roll-back service rollback", "verify"),
    ]


def test_the_profile_says_how_long_an_agreement_holds(
    begun: Begun, clock: list[float], monkeypatch: pytest.MonkeyPatch, profile: Path
) -> None:
    monkeypatch.setenv("ROLLPROOF_RESPONDING__AGREEMENT_SECONDS", "60")
    shorter = Begun(load_target(profile), begun.folder)
    kill(shorter, "roll-back", clock, 61.0, "")
    second = StandInHands(now=iter([HEALTHY]), begun=False)
    assert shorter.run(second, None).ending is Ending.MONITORING
    assert second.why[0].endswith("and holds for 1 min")


def test_a_clock_that_was_set_back_makes_no_agreement_younger(begun: Begun, clock: list[float]) -> None:
    kill(begun, "roll-back", clock, -7200.0, "")
    second = StandInHands(now=iter([HEALTHY]), begun=False)
    assert begun.run(second, None).ending is Ending.MONITORING


def test_one_that_is_cut_off_at_its_very_end_does_not_verify_again_and_was_down_no_longer(
    begun: Begun, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(_: Response, __: Moment) -> ResponseOutcome:
        raise CutOffError

    with monkeypatch.context() as patched:
        patched.setattr(Response, "_resumed", cut_off)
        with pytest.raises(CutOffError):
            begun.run(StandInHands(), CRITICAL)
    assert begun.events()[-1] == "verified"
    verified = Moment.from_record(verify_journal(begun.folder / RESPONSE)[-1]["at"])
    clock[0] += 5000
    second = StandInHands()
    outcome = begun.run(second, None)
    assert second.done == []
    assert outcome.ending is Ending.RESUMED
    assert CRITICAL.assessment.first_bad is not None
    assert outcome.downtime == pytest.approx(verified.seconds_since(CRITICAL.assessment.first_bad))


def test_a_failed_verification_that_was_cut_off_stays_failed(begun: Begun) -> None:
    first = StandInHands(verification=ExitCode.FAILED)
    assert begun.run(first, CRITICAL).ending is Ending.MANUAL
    assert begun.run(StandInHands(), None).ending is Ending.MANUAL


def test_the_first_bad_sample_is_of_the_monitor_that_saw_it() -> None:
    """One that was started anew counts its beats from 0 again."""
    before = samples(14, lambda _: {})
    again = samples(14, lambda _: {"memory": value(97, ok=False)})
    both = (*(replace(one, at=replace(one.at, since_boot=one.at.since_boot - 600)) for one in before), *again)
    seen_by_both = Assessed(assess(Bands(), both, BEAT), both, monitored=True)
    assert seen_by_both.assessment.first_bad == again[0].at


def test_an_outage_during_which_the_monitor_was_started_anew_is_one() -> None:
    every = samples(30, lambda _: {"memory": value(97, ok=False)})
    # The new one has come to the number of the beat with which the outage began.
    both = tuple(replace(one, beat=one.beat - 20 if one.beat >= 20 else one.beat) for one in every)
    assert Assessed(assess(Bands(), both, BEAT), both, monitored=True).assessment.first_bad == every[0].at
