"""The key of the configuration: beside the baselines, never in one; and what is said where it is not."""

from __future__ import annotations

import stat

import pytest
from pydantic import SecretStr

from rollproof.baseline.configuration import configuration_key_of, new_configuration_key
from rollproof.errors import Unverifiable
from rollproof.profile.profile import Target
from tests.world.sandbox import Sandbox


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
