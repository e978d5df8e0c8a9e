"""A profile that asks for less than at the capture is no measure, and both sides are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from rollproof.baseline.facts import Facts, RecordedStore
from rollproof.baseline.folder import load_baseline
from rollproof.baseline.strictness import _STRENGTH, record_strictness, require_as_strict, weaker
from rollproof.errors import Unverifiable
from rollproof.profile.profile import Target, load_target
from rollproof.profile.sections import Policy
from tests.unit.sandbox import Sandbox
from tests.unit.sandbox import facts as recorded_facts
from tests.unit.saved_baseline import save_baseline

REFERENCE = """
[references.users]
referencing = {store = "mysql", collection = "imagedb.orders", fields = ["user"]}
referenced = {store = "mysql", collection = "imagedb.users", fields = ["name"]}
"""
POLICY = (
    'databases = ["imagedb"]\npolicy = {"imagedb.log*" = "grows", "imagedb.l*" = "volatile", "*" = "exact"}'
)
COUNTS = {"imagedb.users": 3, "imagedb.logins": 1, "imagedb.last": 2}


@pytest.fixture
def profile(sandbox: Sandbox) -> Path:
    text = sandbox.profile.read_text(encoding="utf-8").replace('databases = ["imagedb"]', POLICY)
    sandbox.profile.write_text(text + REFERENCE, encoding="utf-8")
    return sandbox.profile


@pytest.fixture
def facts(profile: Path, sandbox: Sandbox) -> Facts:
    """Return facts as a baseline gives them back from the disk."""
    target = load_target(profile)
    store = RecordedStore("mysql", "MySQL 9.7", COUNTS)
    facts = replace(
        recorded_facts(sandbox.commit), stores={"mysql": store}, profile=record_strictness(target)
    )
    folder = save_baseline(sandbox.folder / "measured", target.name, facts)
    return load_baseline(folder, target.name).facts


def _changed(profile: Path, before: str, after: str) -> Target:
    text = profile.read_text(encoding="utf-8")
    assert before in text
    profile.write_text(text.replace(before, after), encoding="utf-8")
    return load_target(profile)


def test_the_profile_of_the_capture_is_as_strict(facts: Facts, profile: Path) -> None:
    assert weaker(facts, load_target(profile)) == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('"*" = "exact"', '"*" = "volatile"', "policy of imagedb.users of mysql: exact at the capture, v"),
        ('"*" = "exact"', '"*" = "grows"', "policy of imagedb.users of mysql: exact at the capture, g"),
        ('"imagedb.log*" = "grows", ', "", "policy of imagedb.logins of mysql: grows at the capture, v"),
        ('["imagedb"]', '["other"]', 'databases of mysql: ["imagedb"] at the capture, ["other"] now'),
        ('["imagedb"]', '["imagedb", "other"]', "databases of mysql: "),
        ('services = ["database-server"]', 'services = ["redis"]', "service database-server: in the profile"),
        ('fields = ["name"]', 'fields = ["id"]', "users of references: "),
        (REFERENCE, "", "users of references: "),
        ('expected_file = "lamp.txt"', 'expected_file = "other.txt"', "canary.expected_file of the"),
        ('services = ["frontend", "backend", "worker"]', 'services = ["backend", "worker"]', "service fron"),
        ("[engine]", "limits = {memory_percent = 99}\n[engine]", "limits.memory_percent of the profile: 85"),
        ("[engine]", "limits = {restarts = 9}\n[engine]", "limits.restarts of the profile: 0 at the capture"),
        ("[engine]", "limits = {cpu_percent = 99}\n[engine]", "limits.cpu_percent of the profile: 80"),
        ("[engine]", "limits = {pids_percent = 99}\n[engine]", "limits.pids_percent of the profile: 90"),
        ("[engine]", "limits = {disk_free_percent = 0}\n[engine]", "limits.disk_free_percent of the profile"),
        ("[engine]", "limits = {inodes_free_percent = 0}\n[engine]", "limits.inodes_free_percent of the"),
        ("[application]", '[application]\ninterface = ""', "interface of the profile: "),
    ],
)  # fmt: skip
def test_a_weaker_profile_is_told_with_both_sides(
    facts: Facts, profile: Path, before: str, after: str, said: str
) -> None:
    found = [str(one) for one in weaker(facts, _changed(profile, before, after))]
    assert [one for one in found if said in one], found


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"imagedb.log*" = "grows"', '"imagedb.log*" = "exact"'),
        ("[engine]", "limits = {memory_percent = 50, disk_free_percent = 50}\n[engine]"),
        (REFERENCE, REFERENCE + REFERENCE.replace("references.users", "references.others")),
        ("port = 9}", "port = 10}"),
    ],
)
def test_a_profile_that_asks_for_more_is_as_strict(
    facts: Facts, profile: Path, before: str, after: str
) -> None:
    assert weaker(facts, _changed(profile, before, after)) == []


def test_only_what_is_weakened_is_not_verified(facts: Facts, profile: Path) -> None:
    target = _changed(profile, '"imagedb.log*" = "grows", ', "")
    require_as_strict(weaker(facts, target), "mysql", "imagedb.users")
    require_as_strict(weaker(facts, target), "mysql")
    with pytest.raises(Unverifiable, match=r"as at the capture: .* grows, observed .* volatile") as raised:
        require_as_strict(weaker(facts, target), "mysql", "imagedb.logins")
    assert "capture a new baseline" in raised.value.hint
    assert "restore" not in str(raised.value)


def test_no_secret_of_the_profile_is_recorded(sandbox: Sandbox) -> None:
    secrets = sandbox.target.secrets()
    assert secrets
    text = str(record_strictness(sandbox.target))
    assert not [secret for secret in secrets if secret in text]


def test_each_policy_is_as_strict_as_it_is() -> None:
    assert sorted(get_args(Policy), key=_STRENGTH.__getitem__) == ["volatile", "changes", "grows", "exact"]
