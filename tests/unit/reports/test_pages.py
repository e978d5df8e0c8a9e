"""Pictures of an incident, the page of its record, which calls nobody, and known limits next to a verdict."""

from __future__ import annotations

import base64
import sys
from datetime import date
from pathlib import Path

import pytest

from reports.html.html import without_requests
from reports.incident.events import timeline_of
from reports.incident.record import read_incident_record
from reports.pictures import timeline
from reports.pictures.album import TIMELINE, draw_timeline, remove_timeline
from reports.verdict.verdict import known_limits
from rollproof.baseline.facts import Facts, RecordedCanary, RecordedContent, Surroundings
from rollproof.profile.functions import Functions
from rollproof.profile.premigration import Waiver
from rollproof.profile.profile import load_target
from rollproof.profile.sections import Policy
from rollproof.redaction.redactor import Redactor
from tests.unit.made_incident import MadeIncident

CANARY = "correct-horse-&-battery"


@pytest.fixture
def made(made: MadeIncident) -> MadeIncident:
    made.respond()
    return made


def draw(made: MadeIncident, redactor: Redactor | None = None) -> list[str]:
    record = read_incident_record(made.folder)
    return list(draw_timeline(made.folder, timeline_of(record), redactor or Redactor()))


def test_a_timeline_that_cannot_be_drawn_is_a_note_and_an_earlier_one_goes(
    made: MadeIncident, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert draw(made) == []
    assert (made.folder / TIMELINE).is_file()

    def broken(*_: object) -> bytes:
        raise ValueError(CANARY)

    monkeypatch.setattr(timeline, "draw", broken)
    (note,) = draw(made, Redactor([CANARY]))
    assert note.startswith("the timeline was not drawn: ValueError")
    assert CANARY not in note
    assert not (made.folder / TIMELINE).exists()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    (note,) = draw(made)
    assert "matplotlib" in note
    assert not remove_timeline(made.folder)


ANALYTICS = """<script async src="https://www.googletagmanager.com/gtag/js?id=G-1"></script>
    <script>
        function gtag(){dataLayer.push(arguments);}
        gtag('config', 'G-1', {"report": "awesome"});
    </script>"""


def page(*, analytics: str = ANALYTICS, body: str = "", bundle: str = "start()") -> str:
    code = base64.b64encode(bundle.encode()).decode()
    return f"""<!DOCTYPE html>
<html><head>
<meta charset="utf-8"><link rel="icon" href="data:image/svg+xml,%3Csvg%3E"></head>
<body><script src="data:text/javascript;base64,{code}"></script>
{analytics}
<script>d("widgets/statistic.json", "eyJ0b3RhbCI6NTB9")</script>
<a href="https://allurereport.org">Allure</a>{body}</body></html>"""


def test_the_analytics_are_removed_and_nothing_else() -> None:
    result = without_requests(page())

    assert "googletagmanager" not in result
    assert "gtag" not in result
    policy = result[
        result.index("<meta http-equiv") : result.index(">", result.index("<meta http-equiv")) + 1
    ]
    assert "default-src 'none'" in policy
    assert "https:" not in policy
    assert result.index(policy) < result.index("<link")
    assert result.replace(f"\n    {policy}", "") == page(analytics="")


COMMIT = "a" * 40


def facts(*blind_spots: str) -> Facts:
    contents = {"redis": RecordedContent(collections={}, schemas={}, positions={}, blind_spots=blind_spots)}
    canary = RecordedCanary(files=(), grounded_in=())
    return Facts(COMMIT, "", (), {}, canary, Surroundings("0"), {}, contents)


def test_known_limits_say_waivers_exclusions_and_blind_spots(profile: Path) -> None:
    target = load_target(profile)
    waivers = (
        Waiver(item="test_a", name="Ada", reason="it *is* known", expires=date(2999, 1, 1)),
        Waiver(item="test_b", name="Bob", reason="was", expires=date(2000, 1, 1)),
    )
    redis = target.stores["redis"].model_copy(
        update={"exclude": {"user:*": ("seen",)}, "policy": {"session:*": Policy.VOLATILE}}
    )
    changed = target.model_copy(
        update={
            "premigration": target.premigration.model_copy(update={"waivers": waivers}),
            "stores": {"redis": redis},
            "application": target.application.model_copy(
                update={"functions": Functions.model_validate({"api": "own"})}
            ),
        }
    )
    said = list(known_limits(changed, facts("time to live of keys")))

    assert "test_a: waived by Ada, until 2999-01-01: it *is* known" in said
    assert "test_b: waived by Bob, EXPIRED 2000-01-01, without effect: was" in said
    assert "redis/user:*: fields not compared: seen" in said
    assert "redis/session:*: counted, not compared (policy volatile)" in said
    assert "blind spot of redis: time to live of keys" in said
    assert any(one.startswith("test_first_page_is_the_recorded_one: not covered: ") for one in said)
    assert any(one.startswith("function conversations of the application: undescribed") for one in said)
    assert any("there is no baseline that could be read" in text for text in known_limits(changed, None))
