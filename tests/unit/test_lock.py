"""The lock of a target: one holder, who can be asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fixtures.errors import UsageProblem
from rollback_actions.lock import lock_holder, target_lock


def test_the_second_is_told_who_the_first_is(tmp_path: Path) -> None:
    with (
        target_lock(tmp_path, "staging"),
        pytest.raises(UsageProblem, match=f"held by process {os.getpid()}"),
        target_lock(tmp_path, "staging"),
    ):
        pass
    with target_lock(tmp_path, "staging"), target_lock(tmp_path, "production"):
        pass


def test_asking_changes_nothing(tmp_path: Path) -> None:
    assert lock_holder(tmp_path / "nowhere", "staging") is None
    assert list(tmp_path.iterdir()) == []
    with target_lock(tmp_path, "staging"):
        assert lock_holder(tmp_path, "staging") == str(os.getpid())
        assert lock_holder(tmp_path, "production") is None
    assert lock_holder(tmp_path, "staging") is None
