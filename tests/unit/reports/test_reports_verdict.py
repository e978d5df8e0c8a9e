"""The verdict as programs read it, and as people do; and the known limits beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

from reports.verdict.limits import known_limits
from reports.verdict.summary import lines
from reports.verdict.verdict import read_verdict, write_verdict
from rollproof.baseline.facts import Facts, RecordedCanary, RecordedContent, Surroundings
from rollproof.profile.functions import Functions
from rollproof.profile.premigration import Waiver
from rollproof.profile.profile import load_target
from rollproof.verdict import CheckCounts, PhaseVerdict, RollbackVerdict, RunVerdict, Verdict

PASSED = RunVerdict(
    incident="20261124T151500Z-staging-1a2b",
    target="staging",
    verdict=Verdict.PASSED,
    phases={
        "phase1": PhaseVerdict(Verdict.PASSED, 11.25, (0.0, 120.0), CheckCounts(34)),
        "phase2": PhaseVerdict(Verdict.PASSED, 6.5, (120.0, 180.5), CheckCounts(8)),
    },
    rollback=RollbackVerdict(Verdict.PASSED, 41.25),
    verified_seconds=98.375,
    started="2026-11-24T15:15:00.000+00:00",
    finished="2026-11-24T15:16:38.375+00:00",
)


BLIND = replace(
    PASSED,
    blind={"qdrant": "a store of its kind does not tell who is connected", "redis": "app@10.0.0.9 *may*"},
)


def test_where_a_writer_may_have_been_unseen_is_in_the_verdict_and_said(tmp_path: Path) -> None:
    path = write_verdict(tmp_path, BLIND)
    assert json.loads(path.read_text())["blind"] == BLIND.blind
    assert read_verdict(tmp_path) == BLIND
    said = "\n".join(f"{lead}{rest}" for lead, rest, _ in lines(BLIND, tmp_path))
    assert (
        "rollback passed in 41.2 s, verified after 98.4 s in all; blind to writers at qdrant, redis" in said
    )


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
