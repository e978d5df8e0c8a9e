"""Runs of the checks as commands start them: what is typed, for how long, and where their output goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rollback_actions import check_run
from rollback_actions.check_run import run_checks
from rollproof.errors import Unverifiable
from rollproof.profile.profile import Target
from rollproof.system.command import Deadline


class Program:
    """What runs in the place of pytest: it ends with `code`, and keeps how it was run."""

    code: int | None = 0

    def __call__(self, command: Sequence[str], limit: Deadline, **how: Any) -> int | None:  # noqa: ANN401
        self.words, self.seconds, self.how = command, limit.seconds, how
        return self.code


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Program:
    made = Program()
    monkeypatch.setattr(check_run, "run_program", made)
    return made


@pytest.mark.parametrize(("code", "said"), [(None, "still running; stopped"), (77, "exit code 77")])
def test_another_end_is_no_result(program: Program, target: Target, code: int | None, said: str) -> None:
    program.code = code
    with pytest.raises(Unverifiable, match=said):
        run_checks(target, Path("a.toml"), "phase1")
