"""A profile that asks for something else than at the capture is no measure, nor is another key."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from rollproof.baseline.configuration import configuration_key_of, new_configuration_key
from rollproof.baseline.demands import changed_demands, demands_of, require_demands
from rollproof.baseline.facts import Facts
from rollproof.baseline.folder import load_baseline
from rollproof.errors import Unverifiable
from rollproof.profile.profile import Target, load_target
from tests.world.baseline import save_baseline
from tests.world.sandbox import Sandbox
from tests.world.sandbox import facts as recorded_facts

REFERENCE = """
[references.users]
referencing = {store = "mysql", collection = "imagedb.orders", fields = ["user"]}
referenced = {store = "mysql", collection = "imagedb.users", fields = ["name"]}
"""
POLICY = 'databases = ["imagedb"]\npolicy = {"imagedb.log*" = "grows", "imagedb.l*" = "volatile"}'


@pytest.fixture
def profile(sandbox: Sandbox) -> Path:
    text = sandbox.profile.read_text(encoding="utf-8").replace('databases = ["imagedb"]', POLICY)
    sandbox.profile.write_text(text + REFERENCE, encoding="utf-8")
    return sandbox.profile


@pytest.fixture
def facts(profile: Path, sandbox: Sandbox) -> Facts:
    """Return facts as a baseline returns them from the disk."""
    target = load_target(profile)
    facts = replace(recorded_facts(sandbox.commit), demands=demands_of(target))
    return load_baseline(save_baseline(sandbox.folder / "other", target.name, facts), target.name).facts


def _changed(profile: Path, before: str, after: str) -> Target:
    text = profile.read_text(encoding="utf-8")
    assert before in text
    profile.write_text(text.replace(before, after), encoding="utf-8")
    return load_target(profile)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('"imagedb.l*" = "volatile"', '"imagedb.l*" = "volatile", "*" = "volatile"', "policy of mysql: [["),
        ('"imagedb.log*" = "grows", ', "", "policy of mysql: [["),
        ('["imagedb"]', '["imagedb", "other"]', 'databases of mysql: ["imagedb"] at the'),
        (POLICY, f'{POLICY}\nexclude = {{"*" = ["seen"]}}', "exclude.* of mysql: none at the capture, ["),
        ('services = ["database-server"]', 'services = ["redis"]', "services.database-server of the profile"),
        ('fields = ["name"]', 'fields = ["id"]', "references.users.referenced.fields of the profile: "),
        (REFERENCE, "", "references.users.referencing.store of the profile: mysql at the capture, none now"),
        ('expected_file = "lamp.txt"', 'expected_file = "other.txt"', "canary.expected_file of the profile"),
        ("[engine]", "limits = {memory_percent = 99}\n[engine]", "limits.memory_percent of the profile: 85"),
        ("[engine]", '[engine]\nchanging = ["backend:/tmp"]', "engine.changing of the profile: [] at the"),
        ("[application]", '[application]\ninterface = ""', "interface of the profile: /openapi.json at"),
        ("[stores.mysql]", "[stores.other]", "store mysql: in the profile at the capture, not in it now"),
    ],
)  # fmt: skip
def test_a_demand_that_changed_is_shown_with_both_sides(
    facts: Facts, profile: Path, before: str, after: str, said: str
) -> None:
    if "[stores.mysql]" in before:
        _changed(profile, REFERENCE, "")
    found = [str(one) for one in changed_demands(facts, _changed(profile, before, after))]
    assert [one for one in found if one.startswith(said)], found


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (REFERENCE, REFERENCE),
        (REFERENCE, REFERENCE + REFERENCE.replace("references.users", "references.others")),
        ("port = 9}", "port = 10}"),
    ],
)
def test_a_profile_that_asks_for_the_same_or_more_is_a_measure(
    facts: Facts, profile: Path, before: str, after: str
) -> None:
    assert changed_demands(facts, _changed(profile, before, after)) == []


def test_only_a_store_of_which_less_is_asked_is_not_verified(facts: Facts, profile: Path) -> None:
    changed = changed_demands(facts, _changed(profile, '"imagedb.log*" = "grows", ', ""))
    require_demands(changed, "redis")
    with pytest.raises(Unverifiable, match=r"as at the capture: .*grows.*, observed .*volatile") as raised:
        require_demands(changed, "mysql")
    assert "capture a new baseline" in raised.value.hint


def test_no_secret_of_the_profile_is_recorded(sandbox: Sandbox) -> None:
    secrets = sandbox.target.secrets()
    assert secrets
    text = str(demands_of(sandbox.target))
    assert not [secret for secret in secrets if secret in text]


@pytest.fixture
def keyed(sandbox: Sandbox) -> Target:
    return sandbox.target.model_copy(update={"baseline_key": SecretStr("k" * 40)})


def test_the_key_is_made_once_outside_the_baselines_and_for_its_owner_alone(sandbox: Sandbox) -> None:
    first, again = new_configuration_key(sandbox.target), new_configuration_key(sandbox.target)
    baselines = sandbox.target.folders.baselines
    (file,) = baselines.parent.glob("*.key")
    assert file.parent == baselines.parent
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert first.id == again.id == configuration_key_of(sandbox.target).id
    assert first("environment A", [b"x"]) == again("environment A", [b"x"])
    assert not [path for path in baselines.parent.iterdir() if path.name.startswith(f".{file.name}")]


def test_a_hash_tells_neither_the_value_nor_that_two_are_equal(sandbox: Sandbox) -> None:
    seal = new_configuration_key(sandbox.target)
    assert seal("a", [b"xy"]) == seal("a", [b"x", b"y"]) != seal("b", [b"xy"])
    (sandbox.target.folders.baselines.parent / f"{sandbox.target.folders.baselines.name}.key").unlink()
    assert new_configuration_key(sandbox.target)("a", [b"xy"]) != seal("a", [b"xy"])


def test_a_profile_with_a_key_needs_no_file_and_compares_elsewhere(keyed: Target) -> None:
    assert new_configuration_key(keyed).id == configuration_key_of(keyed).id
    assert not list(keyed.folders.baselines.parent.glob("*.key"))


@pytest.mark.parametrize("content", [None, b"00ff", b"\xff"], ids=["gone", "cut", "no text"])
def test_without_the_key_nothing_is_compared(sandbox: Sandbox, content: bytes | None) -> None:
    new_configuration_key(sandbox.target)
    (file,) = sandbox.target.folders.baselines.parent.glob("*.key")
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(Unverifiable, match="key of the configuration: expected 32 bytes") as raised:
        configuration_key_of(sandbox.target)
    assert "on the machine that captured" in raised.value.hint


def test_another_key_is_named_and_refused(sandbox: Sandbox, keyed: Target) -> None:
    captured = new_configuration_key(sandbox.target)
    assert configuration_key_of(sandbox.target, captured.id).id == captured.id
    with pytest.raises(Unverifiable, match=f"expected key {captured.id}, as .*, observed key "):
        configuration_key_of(keyed, captured.id)
