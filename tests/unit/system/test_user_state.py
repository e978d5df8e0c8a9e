"""The user's state folder: where it is, for whom, and that tests leave nothing beside pytest's own folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollproof.system.state import made_state_folder


def test_each_target_has_its_own_and_it_is_the_user_s_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    one, other = made_state_folder("one"), made_state_folder("other")
    assert one != other
    assert {folder.stat().st_mode & 0o077 for folder in (one, other)} == {0}
