"""The contact flow as a clock: each step, what is overdue, who is told and why, after a kill and a reboot."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest

from rollproof.profile.channels import Channel
from rollproof.profile.contacts import Contacts
from rollproof.profile.mistakes import ProfileProblem
from rollproof.profile.profile import load_target
from rollproof.system.clock import Moment, t_plus
from rollproof.team.contact_flow import ContactState, ContactStep, Due, Flow, contact_channels, flow_of
from rollproof.team.contact_record import Alert, record_of
from tests.conftest import write_profile

CONTACTS = Contacts()
ON_CALL = (Channel("on-call 1 (json)", "a1"), Channel("on-call 2 (json)", "a2"))
TECH_LEAD = (Channel("tech lead 1 (json)", "b1"),)
CHANNELS = {
    **dict.fromkeys(Alert, TECH_LEAD),
    Alert.ON_CALL: ON_CALL,
    Alert.UNASSESSED: (*ON_CALL, *TECH_LEAD),
    Alert.POST_MORTEM: (*ON_CALL, *TECH_LEAD),
}
ZERO = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LAST = CONTACTS.attempts


def moment(seconds: float, boot: str = "first", off: float = 0.0) -> Moment:
    """Return the moment so many seconds after T+0; `off` is how far the wall clock was set since."""
    wall = (ZERO + timedelta(seconds=seconds + off)).isoformat(timespec="milliseconds")
    return Moment(wall=wall, since_boot=1000.0 + seconds, boot=boot)


@dataclass
class Story:
    """An incident as it is recorded, told step by step; times are minutes after T+0."""

    records: list[dict[str, Any]] = field(default_factory=list)
    contacts: Contacts = CONTACTS
    boot: str = "first"
    off: float = 0.0

    def write(self, minutes: float, event: str, **details: object) -> Self:
        at = moment(minutes * 60, self.boot, self.off).record()
        self.records.append({"event": event, "at": at, **details})
        return self

    def detected(self) -> Self:
        return self.write(0, "detected", severity="critical (health)")

    def attempt(self, minutes: float, alert: Alert, *channels: Channel, reason: str = "") -> Self:
        for channel in channels or CHANNELS[alert]:
            self.write(
                minutes,
                "alerted",
                alert=str(alert),
                channel=channel.name,
                fingerprint=channel.fingerprint,
                delivered=not reason,
                reason=reason,
            )
        return self

    def alerted(self, minutes: float, alert: Alert, *channels: Channel) -> Self:
        return self.attempt(minutes, alert, *channels)

    def failed(self, minutes: float, alert: Alert, *channels: Channel, times: int = LAST) -> Self:
        for _ in range(times):
            self.attempt(minutes, alert, *channels, reason="HTTP 500")
        return self

    def acknowledged(self, minutes: float, name: str = "Ada") -> Self:
        return self.write(minutes, "acknowledged", name=name)

    def decided(self, minutes: float, text: str = "roll back", name: str = "Ada") -> Self:
        return self.write(minutes, "decided", name=name, text=text)

    def at(self, minutes: float) -> Flow:
        """Return the flow then, which must be the same when it is asked again."""
        now = moment(minutes * 60, self.boot, self.off)
        flow = flow_of(self.contacts, CHANNELS, record_of(self.records), now)
        assert flow == flow_of(self.contacts, CHANNELS, record_of(self.records), now)
        return flow


def due(flow: Flow) -> list[Alert]:
    return [one.alert for one in flow.due]


def states(flow: Flow) -> list[ContactState]:
    return [step.state for step in flow.steps]


def only(flow: Flow) -> Due:
    (one,) = flow.due
    return one


def step(flow: Flow, name: str) -> ContactStep:
    return next(one for one in flow.steps if one.name == name)


def test_the_engineer_on_call_is_alerted_at_once_by_every_channel() -> None:
    flow = Story().detected().at(0)
    one = only(flow)
    assert (one.alert, one.channels) == (Alert.ON_CALL, ON_CALL)
    assert states(flow) == [
        ContactState.DUE,
        ContactState.DUE,
        ContactState.DUE,
        ContactState.WAITING,
        ContactState.WAITING,
        ContactState.WAITING,
    ]
    assert flow.wait_seconds == 0


def test_a_flow_in_which_everybody_does_their_part() -> None:
    story = Story().detected().alerted(0.01, Alert.ON_CALL)
    assert due(story.at(0.02)) == []
    story.acknowledged(0.5).decided(1.5)
    flow = story.at(2.5)
    assert due(flow) == []
    assert flow.overdue == ()
    assert flow.wait_seconds == pytest.approx(150)
    assert step(flow, "decided") == ContactStep("decided", ContactState.DONE, 0, 120, 90, "roll back, by Ada")
    assert due(story.at(4.99)) == []
    assert only(story.at(5)).alert is Alert.TECH_LEAD
    assert only(story.at(5)).because == "status update"
    story.alerted(5, Alert.TECH_LEAD).write(14, "assessed", name="Ada", text="a bad index")
    assert due(story.at(20)) == []
    assert only(story.at(60)).alert is Alert.POST_MORTEM
    assert not story.at(60).over
    flow = story.alerted(60, Alert.POST_MORTEM).at(61)
    assert flow.over
    assert due(flow) == []
    assert flow.wait_seconds is None
    assert states(flow) == [ContactState.DONE] * 6


def test_who_does_not_acknowledge_within_two_minutes_is_passed_over_at_once() -> None:
    story = Story().detected().alerted(0, Alert.ON_CALL)
    before = story.at(1.99)
    assert due(before) == []
    assert before.wait_seconds == pytest.approx(0.6)
    flow = story.at(2)
    one = only(flow)
    assert (one.alert, one.channels) == (Alert.ESCALATION, TECH_LEAD)
    assert one.because == "nobody has acknowledged within 2 minutes; nothing is decided after 2 minutes"
    assert [late.name for late in flow.overdue] == ["acknowledged", "decided"]
    # It is said once: that nothing is decided was said with it.
    story.alerted(2, Alert.ESCALATION)
    assert due(story.at(3)) == []
    assert due(story.acknowledged(3.5).at(4)) == []
    # The update at T+5 comes all the same, and says what is still open.
    assert only(story.at(5)).because == "status update; nothing is decided after 2 minutes"
    assert step(story.at(4), "acknowledged").text == "by Ada, 90 s late"


def test_what_is_not_decided_in_time_is_escalated_although_it_is_acknowledged() -> None:
    story = Story().detected().alerted(0, Alert.ON_CALL).acknowledged(1)
    one = only(story.at(2))
    assert (one.alert, one.because) == (Alert.ESCALATION, "nothing is decided after 2 minutes")
    assert due(story.decided(2.01, "investigate").at(2.02)) == []


def test_who_cannot_be_reached_is_passed_over_at_once() -> None:
    story = Story().detected().failed(0.5, Alert.ON_CALL)
    flow = story.at(0.6)
    one = only(flow)
    assert (one.alert, one.channels) == (Alert.ESCALATION, TECH_LEAD)
    assert "no channel of the engineer on call took the alert (on-call 1 (json): HTTP 500;" in one.because
    assert states(flow)[0] is ContactState.NOT_DELIVERED
    assert [attempt.channel for attempt in flow.undelivered] == [channel.name for channel in ON_CALL]
    # A channel that was never tried comes first.
    assert due(Story().detected().failed(0.5, Alert.ON_CALL, ON_CALL[0]).at(0.6)) == [
        Alert.ON_CALL,
        Alert.ESCALATION,
    ]
    # One of two channels is enough.
    story = Story().detected().failed(0.5, Alert.ON_CALL, ON_CALL[0]).alerted(0.5, Alert.ON_CALL, ON_CALL[1])
    assert due(story.at(1.9)) == []
    assert story.at(1.9).undelivered == ()


def test_who_was_not_reached_is_tried_again_a_minute_later_and_after_everybody_else() -> None:
    story = Story().detected().failed(0.3, Alert.ON_CALL).alerted(0.4, Alert.ESCALATION)
    assert due(story.at(1.2)) == []
    assert story.at(1.2).wait_seconds == pytest.approx(6)
    assert only(story.at(1.3)).alert is Alert.ON_CALL
    assert due(story.at(2)) == [Alert.ON_CALL]
    # Somebody acknowledges: there is no need any more.
    assert due(story.acknowledged(2).decided(2).at(2.1)) == []
    assert story.at(2.1).undelivered == ()


def test_an_assessment_that_is_late_is_escalated_to_everybody() -> None:
    story = Story().detected().alerted(0, Alert.ON_CALL).acknowledged(1).decided(1)
    story.alerted(5, Alert.TECH_LEAD)
    one = only(story.at(15))
    assert (one.alert, one.channels) == (Alert.UNASSESSED, (*ON_CALL, *TECH_LEAD))
    assert one.because == "the assessment is not complete after 15 minutes"
    assert due(story.write(15, "assessed", name="Ada", text="it").at(15.1)) == []


def test_a_closed_incident_needs_only_its_post_mortem() -> None:
    story = Story().detected().alerted(0, Alert.ON_CALL).acknowledged(1).decided(1).write(4, "closed")
    flow = story.at(4)
    assert only(flow).alert is Alert.POST_MORTEM
    assert only(flow).because == "the incident is closed"
    assert states(flow)[3:] == [ContactState.NOT_NEEDED, ContactState.NOT_NEEDED, ContactState.DUE]
    # What nobody did before that stays overdue.
    late = Story().detected().alerted(0, Alert.ON_CALL).write(4, "closed").at(30)
    assert [one.name for one in late.overdue] == ["acknowledged", "decided"]
    assert "nobody has acknowledged" in only(late).because
    assert story.alerted(4.1, Alert.POST_MORTEM).at(4.2).over


def test_a_post_mortem_that_reaches_nobody_ends_the_flow_and_is_said() -> None:
    story = Story().detected().alerted(0, Alert.ON_CALL).acknowledged(1).decided(1)
    story.alerted(5, Alert.TECH_LEAD).failed(60, Alert.POST_MORTEM)
    assert story.at(60.5).over
    assert [one.alert for one in story.at(60.5).undelivered] == [Alert.POST_MORTEM] * 3
    assert due(story.at(61)) == [Alert.POST_MORTEM]


def test_a_channel_that_fails_is_tried_again_later_and_later_until_its_attempts_are_used_up() -> None:
    story = Story().detected().failed(0.1, Alert.ON_CALL, times=1)
    flow = story.at(0.1)
    assert (due(flow), flow.retrying, flow.undelivered) == ([], True, ())
    assert flow.wait_seconds == pytest.approx(1)
    assert only(story.at(0.12)).channels == ON_CALL
    story.failed(0.12, Alert.ON_CALL, times=1)
    assert story.at(0.12).wait_seconds == pytest.approx(2)
    # The other channel has taken it: this one's attempts go on, and nobody else is told.
    story.alerted(0.15, Alert.ON_CALL, ON_CALL[1])
    assert only(story.at(0.16)).channels == ON_CALL[:1]
    flow = story.failed(0.16, Alert.ON_CALL, ON_CALL[0], times=1).at(1.9)
    assert (due(flow), flow.retrying) == ([], False)


def test_a_clock_that_nobody_kept_tells_each_what_there_is_to_know_once() -> None:
    flow = Story().detected().at(20)
    assert due(flow) == [Alert.ON_CALL, Alert.TECH_LEAD, Alert.UNASSESSED]
    assert flow.due[1].because == (
        "status update; nobody has acknowledged within 2 minutes; nothing is decided after 2 minutes;"
        " the assessment is not complete after 15 minutes"
    )
    assert states(flow)[:3] == [ContactState.OVERDUE] * 3
    assert due(Story().detected().at(90)) == [Alert.ON_CALL, Alert.TECH_LEAD, Alert.POST_MORTEM]


def test_a_wall_clock_that_is_set_changes_nothing() -> None:
    for off in (-86400, 86400):
        story = Story().detected().alerted(0, Alert.ON_CALL)
        story.off = off
        assert due(story.at(1.99)) == []
        assert due(story.at(2)) == [Alert.ESCALATION]


def test_after_a_reboot_the_wall_clock_counts_and_what_has_happened_stays() -> None:
    story = Story().detected().alerted(0, Alert.ON_CALL).acknowledged(1).decided(1)
    story.alerted(5, Alert.TECH_LEAD)
    story.boot = "second"
    assert due(story.at(14)) == []
    assert due(story.at(15)) == [Alert.UNASSESSED]
    # It was set back meanwhile, before T+0 even: the flow is not earlier than its last record.
    story.off = -3600.0
    flow = story.at(6)
    assert flow.elapsed == 300
    assert due(flow) == []


def test_a_channel_that_the_profile_has_only_now_is_not_told_what_another_was() -> None:
    story = Story().detected().alerted(0, Alert.ON_CALL, Channel("on-call 1 (json)", "of before"))
    assert due(story.at(1)) == []
    # One that could not be reached is replaced: the new one is tried at once.
    story = Story().detected().failed(0, Alert.ON_CALL, Channel("on-call 1 (json)", "of before"))
    assert due(story.at(0.1))[0] is Alert.ON_CALL


def test_who_acknowledged_before_they_were_told_is_not_told() -> None:
    flow = Story().detected().acknowledged(0).at(0.1)
    assert due(flow) == []
    assert flow.steps[0].state is ContactState.NOT_NEEDED
    assert flow.steps[0].text == "Ada knew by another way"


def test_nothing_is_told_of_a_clock_that_has_not_begun() -> None:
    with pytest.raises(ValueError, match="has not begun"):
        Story().at(0)


@pytest.mark.parametrize(("seconds", "said"), [(0, "T+0:00"), (125.9, "T+2:05"), (3600, "T+60:00")])
def test_times_are_said_as_the_runbook_says_them(seconds: float, said: str) -> None:
    assert t_plus(seconds) == said


def test_the_whole_of_an_alert_has_a_limit() -> None:
    assert CONTACTS.whole_seconds == 3 * 10 + 1 + 2
    assert Contacts(attempts=8, delivery_seconds=1).whole_seconds == 8 + 1 + 2 + 4 + 8 + 16 + 30 + 30


def _urls(folder: Path, **urls: str) -> str:
    for name, url in urls.items():
        (folder / name).write_text(url, encoding="utf-8")
    return "".join(f'\n[contacts.{name}]\nchannels = [{{file = "{name}"}}]\n' for name in urls)


def test_the_urls_are_secrets_and_channels_are_known_by_their_fingerprint(tmp_path: Path) -> None:
    more = _urls(tmp_path, on_call="json://u:one-secret@h/tok3n-of-it", tech_lead="slack://A/B/second-token")
    target = load_target(write_profile(tmp_path, more))
    assert {"one-secret", "tok3n-of-it", "second-token"} < target.secrets()
    found = contact_channels(target, "i-1")
    assert [one.name for one in found.of[Alert.POST_MORTEM]] == [
        "on-call 1 (json://h)",
        "tech lead 1 (slack)",
    ]
    assert found.of[Alert.ESCALATION] == found.of[Alert.TECH_LEAD] != found.of[Alert.ON_CALL]
    assert found.of[Alert.ON_CALL][0].fingerprint in found.urls
    assert contact_channels(target, "i-2").of[Alert.ON_CALL] != found.of[Alert.ON_CALL]


def test_one_channel_of_both_contacts_is_told_once(tmp_path: Path) -> None:
    more = _urls(tmp_path, on_call="json://h/the-one-token", tech_lead="json://h/the-one-token")
    target = load_target(write_profile(tmp_path, more))
    assert len(contact_channels(target, "i-1").of[Alert.UNASSESSED]) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[contacts.minutes]\ndecision = 6",
            "contacts.minutes: expected decision not after tech_lead, observed 6 and 5 minutes",
        ),
        ("[contacts.minutes]\nlunch = 6", "contacts.minutes.lunch: expected"),
        ("[contacts]\nattempts = 0", "contacts.attempts: expected"),
        ('[contacts.on_call]\nchannels = ["json://x"]', "contacts.on_call.channels.0: expected {env"),
    ],
)
def test_a_mistake_in_the_profile_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ProfileProblem) as caught:
        load_target(write_profile(tmp_path, f"\n{text}\n"))
    assert said in str(caught.value)
    assert "json://x" not in str(caught.value)
