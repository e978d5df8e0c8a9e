"""The pytest fixtures that try a rollback to what runs now, part by part, without changing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fixtures.baseline import Baseline
from fixtures.saved_state import Trial, TrialOf
from fixtures.target import Target

if TYPE_CHECKING:
    from rollback_actions.rollback_trial import RollbackTrial


@pytest.fixture(scope="session")
def _rollback_trial(target: Target, baseline: Baseline) -> RollbackTrial:
    # Plans and packages are for these checks alone: a run of another stage does not wait for them.
    from rollback_actions.rollback_trial import RollbackTrial  # noqa: PLC0415

    return RollbackTrial(target, baseline)


@pytest.fixture(scope="session")
def rollback_trial(_rollback_trial: RollbackTrial) -> TrialOf:
    """Tries a part of a rollback to the working copy's commit: ``rollback_trial("images")``."""

    def tried(part: str) -> Trial:
        return _rollback_trial.of(part)

    return tried
