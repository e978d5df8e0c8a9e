"""The verdict as programs read it, and as people do; and the known limits beside it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from reports.verdict.limits import known_limits
from rollproof.baseline.facts import Facts, RecordedCanary, RecordedContent, Surroundings
from rollproof.profile.functions import Functions
from rollproof.profile.premigration import Waiver
from rollproof.profile.profile import load_target

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
        update={"exclude": {"user:*": ("seen",)}, "policy": {"session:*": "volatile"}}
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
