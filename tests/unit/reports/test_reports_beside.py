"""What is shown beside the results: environment, known limits."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from reports.allure.metadata import environment_of_run
from reports.verdict.limits import known_limits
from rollproof.baseline.facts import Facts, RecordedCanary, RecordedContent, Surroundings
from rollproof.incident.incident import Incident, Origin, RollbackRecord
from rollproof.monitoring.rollback_request import Kind
from rollproof.profile.premigration import Waiver
from rollproof.profile.profile import load_target
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict

COMMIT, OTHER = "a" * 40, "b" * 40


def facts(*blind_spots: str) -> Facts:
    contents = {"redis": RecordedContent(collections={}, schemas={}, positions={}, blind_spots=blind_spots)}
    canary = RecordedCanary(files=(), grounded_in=())
    return Facts(COMMIT, "", (), {}, canary, Surroundings("0"), {}, contents)


def test_the_environment_names_target_commits_and_versions(profile: Path, tmp_path: Path) -> None:
    moment = Moment.now()
    incident = Incident("one", tmp_path, "sandbox", moment)
    bare = environment_of_run(incident, profile, None, None)
    assert (bare["Target"], bare["Incident"], bare["Profile"]) == ("sandbox", "one", "profile.toml")
    assert bare["Rollproof"] == "0.1.0"
    assert not {"Rolled back to", "Baseline of commit", "Migration to"} & bare.keys()

    rollback = RollbackRecord(
        COMMIT, Verdict.PASSED, 2.0, moment, moment, Kind.DATABASE, ("redis",), None, Origin(OTHER)
    )
    incident.write_rollback(rollback)
    full = environment_of_run(incident, profile, OTHER, facts())
    assert (full["Rollback"], full["Rolled back to"], full["Rolled back from"]) == (
        "database redis",
        COMMIT,
        OTHER,
    )
    assert (full["Baseline of commit"], full["Migration to"]) == (COMMIT, OTHER)


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
        }
    )
    said = list(known_limits(changed, facts("time to live of keys")))

    assert "test_a: waived by Ada, until 2999-01-01: it *is* known" in said
    assert "test_b: waived by Bob, EXPIRED 2000-01-01, without effect: was" in said
    assert "redis/user:*: fields not compared: seen" in said
    assert "redis/session:*: counted, not compared (policy volatile)" in said
    assert "blind spot of redis: time to live of keys" in said
    assert any("there is no baseline that could be read" in text for text in known_limits(changed, None))
