"""The contact flow, after a kill and a reboot too; what is said of a channel is no secret."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest
from pydantic import SecretStr

from rollback_actions.contacts import contacts
from rollback_actions.contacts.contacts import deliver
from rollproof.profile.contacts import Contacts, public_part
from rollproof.profile.profile import load_target
from rollproof.system.clock import Moment
from rollproof.team.contact_flow import ContactState, ContactStep, Flow, contact_channels, flow_of
from rollproof.team.contact_record import Alert, contact_record_of
from tests.conftest import write_profile

ZERO = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def moment(seconds: float, boot: str = "first", off: float = 0.0) -> Moment:
    """Return the moment so many seconds after T+0; `off` is how far the wall clock was set since."""
    wall = (ZERO + timedelta(seconds=seconds + off)).isoformat(timespec="milliseconds")
    return Moment(wall=wall, since_boot=1000.0 + seconds, boot=boot)


@dataclass
class Story:
    """An incident as it is recorded, step by step; times are minutes after T+0."""

    records: list[dict[str, Any]] = field(default_factory=list)
    boot: str = "first"
    off: float = 0.0

    def write(self, minutes: float, event: str, **details: object) -> Self:
        at = moment(minutes * 60, self.boot, self.off).record()
        self.records.append({"event": event, "at": at, **details})
        return self

    def detected(self) -> Self:
        return self.write(0, "detected", severity="critical (health)")

    def alerted(self, minutes: float, alert: Alert, channel: str = "json", reason: str = "") -> Self:
        delivered = not reason
        return self.write(
            minutes, "alerted", alert=str(alert), channel=channel, delivered=delivered, reason=reason
        )

    def acknowledged(self, minutes: float) -> Self:
        return self.write(minutes, "acknowledged", name="Ada")

    def decided(self, minutes: float, text: str = "roll back") -> Self:
        return self.write(minutes, "decided", name="Ada", text=text)

    def at(self, minutes: float) -> Flow:
        """Return the flow then, which must be the same when it is asked again."""
        now = moment(minutes * 60, self.boot, self.off)
        flow = flow_of(Contacts(), contact_record_of(self.records), now)
        assert flow == flow_of(Contacts(), contact_record_of(self.records), now)
        return flow


def due(flow: Flow) -> list[Alert]:
    return [one.alert for one in flow.due]


def states(flow: Flow) -> list[ContactState]:
    return [step.state for step in flow.steps]


def overdue(flow: Flow) -> list[str]:
    return [step.name for step in flow.steps if step.state is ContactState.OVERDUE]


def step(flow: Flow, name: str) -> ContactStep:
    return next(one for one in flow.steps if one.name == name)


def test_a_flow_in_which_everybody_does_their_part() -> None:
    story = Story().detected()
    assert due(story.at(0)) == [Alert.ON_CALL]
    assert states(story.at(0)) == [ContactState.OPEN] * 6
    story.alerted(0.01, Alert.ON_CALL)
    assert due(story.at(0.02)) == []
    story.acknowledged(0.5).decided(1.5)
    flow = story.at(2.5)
    assert (due(flow), overdue(flow)) == ([], [])
    assert step(flow, "decided") == ContactStep("decided", ContactState.DONE, 120, 90, "roll back, by Ada")
    assert due(story.at(4.99)) == []
    assert due(story.at(5)) == [Alert.TECH_LEAD]
    assert story.at(5).due[0].because == "you are the tech lead"
    story.alerted(5, Alert.TECH_LEAD).write(14, "assessed", name="Ada", text="a bad index")
    assert due(story.at(20)) == []
    assert due(story.at(60)) == [Alert.POST_MORTEM]
    assert not story.at(60).over
    flow = story.alerted(60, Alert.POST_MORTEM).at(61)
    assert (flow.over, due(flow), states(flow)) == (True, [], [ContactState.DONE] * 6)


def test_who_does_not_acknowledge_or_decide_in_time_is_passed_over_at_once() -> None:
    story = Story().detected().alerted(0, Alert.ON_CALL)
    assert due(story.at(1.99)) == []
    flow = story.at(2)
    assert due(flow) == [Alert.TECH_LEAD]
    assert flow.due[0].because == (
        "you are the tech lead; nobody has acknowledged within 2 minutes; nothing is decided after 2 minutes"
    )
    assert overdue(flow) == ["acknowledged", "decided"]
    story.alerted(2, Alert.TECH_LEAD)
    assert due(story.at(6)) == []
    assert step(story.acknowledged(6).at(7), "acknowledged").at == 360
    story = Story().detected().alerted(0, Alert.ON_CALL).acknowledged(1)
    assert due(story.at(2)) == [Alert.TECH_LEAD]
    assert due(story.decided(2.01, "investigate").at(2.02)) == []


def test_who_cannot_be_reached_is_passed_over_at_once_and_tried_again_a_minute_later() -> None:
    story = Story().detected().alerted(0.3, Alert.ON_CALL, "1", "HTTP 500")
    flow = story.alerted(0.3, Alert.ON_CALL, "2", "refused").at(0.4)
    assert due(flow) == [Alert.TECH_LEAD]
    assert (
        "no channel of the engineer on call took the alert (1: HTTP 500; 2: refused)" in flow.due[0].because
    )
    assert flow.steps[0].text == "NOT DELIVERED: 1: HTTP 500; 2: refused"
    assert [attempt.channel for attempt in flow.undelivered] == ["1", "2"]
    assert due(story.at(1.29)) == [Alert.TECH_LEAD]
    # Who was never tried comes first.
    assert due(story.at(1.3)) == [Alert.TECH_LEAD, Alert.ON_CALL]
    # One of two channels is enough.
    reached = Story().detected().alerted(0.5, Alert.ON_CALL, "1", "HTTP 500").alerted(0.5, Alert.ON_CALL, "2")
    assert (due(reached.at(1.9)), reached.at(1.9).undelivered) == ([], ())
    # Somebody acknowledges: there is no need any more.
    story.acknowledged(1).decided(1)
    assert (due(story.at(2)), story.at(2).undelivered) == ([], ())


def test_a_closed_incident_needs_only_its_post_mortem() -> None:
    story = Story().detected().alerted(0, Alert.ON_CALL).acknowledged(1).decided(1).write(4, "closed")
    flow = story.at(4)
    assert due(flow) == [Alert.POST_MORTEM]
    assert flow.due[0].because == "the incident is closed"
    assert states(flow)[3:] == [ContactState.OPEN] * 3
    # What nobody did before that stays overdue.
    late = Story().detected().alerted(0, Alert.ON_CALL).write(4, "closed").at(30)
    assert overdue(late) == ["acknowledged", "decided"]
    assert "nobody has acknowledged" in late.due[0].because
    # One that reaches nobody ends the flow, and is not forgotten.
    flow = story.alerted(4.1, Alert.POST_MORTEM, reason="HTTP 500").at(4.2)
    assert (flow.over, [one.alert for one in flow.undelivered]) == (True, [Alert.POST_MORTEM])


def test_the_urls_are_secrets_and_the_post_mortem_has_the_channels_of_both(tmp_path: Path) -> None:
    more = ""
    urls = {"on_call": "json://u:one-secret@h/tok3n-of-it", "tech_lead": "slack://A/B/second-token"}
    for name, url in urls.items():
        (tmp_path / name).write_text(url, encoding="utf-8")
        more += f'\n[contacts.{name}]\nchannels = [{{file = "{name}"}}]\n'
    target = load_target(write_profile(tmp_path, more))
    assert {*urls.values()} <= target.secrets()
    found = contact_channels(target)
    names = [*found[Alert.POST_MORTEM]]
    assert names == ["on-call 1 (json://h)", "tech lead 1 (slack)"]
    assert [*found[Alert.TECH_LEAD]] == ["tech lead 1 (slack)"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("json://user:pass-word-1@127.0.0.1:8080/path-token", "json://127.0.0.1"),
        ("mailtos://me:secret@mail.example.org?to=you@example.org", "mailtos://mail.example.org"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general", "slack"),
        ("tgram://123456789:abcdefg_hijklmnop/12315544/", "tgram"),
        ("ntfy://my-secret-topic", "ntfy"),
        ("json://[", "json"),
        ("no url at all, but a token", "no URL"),
        ("My Token://x", "no URL"),
    ],
)
def test_scheme_and_host_are_said_and_no_more(url: str, said: str) -> None:
    assert public_part(url) == said


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("json://user:pass-word-1@127.0.0.1:8080/tok3n-of-it", "pass-word-1"),
        ("json://user:p%40ss-word@127.0.0.1/x", "p@ss-word"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlaz", "TIiajkdnlaz"),
        ("tgram://123456789:abcdefg_hij/12315544", "abcdefg_hij"),
    ],
)
def test_a_plugin_that_fails_says_no_part_of_its_url(
    url: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Channel:
        def notify(self, **_: str) -> bool:
            raise ConnectionError(f"HTTP 500 from {part} of {url}")

    monkeypatch.setattr(contacts, "sender_of", lambda _: Channel())
    (found,) = deliver({"1": SecretStr(url)}, "title", "body", 10.0).values()
    assert not found.delivered
    assert found.reason.startswith("ConnectionError: Apprise did not deliver it")
    assert part not in found.reason


def test_after_a_reboot_the_wall_clock_counts_and_what_has_happened_stays() -> None:
    story = Story().detected().alerted(0, Alert.ON_CALL).acknowledged(1).decided(1)
    story.boot = "second"
    assert due(story.at(4.99)) == []
    assert due(story.at(5)) == [Alert.TECH_LEAD]
    # It was set back meanwhile, before T+0 even: the flow is not earlier than its last record.
    story.off = -3600.0
    flow = story.at(6)
    assert (flow.elapsed, due(flow)) == (60, [])
