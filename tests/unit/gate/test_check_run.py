"""Runs of the checks as commands start them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollback_actions import check_run
from rollback_actions.check_run import run_checks
from rollproof.errors import Unverifiable
from rollproof.profile.profile import Target


@pytest.mark.parametrize(("code", "said"), [(None, "still running; stopped"), (77, "exit code 77")])
def test_another_end_is_no_result(
    target: Target, monkeypatch: pytest.MonkeyPatch, code: int | None, said: str
) -> None:
    monkeypatch.setattr(check_run, "run_program", lambda *_, **__: code)
    with pytest.raises(Unverifiable, match=said):
        run_checks(target, Path("a.toml"), "phase1")
