"""The pytest fixtures that try a rollback to the running version, part by part, without changing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fixtures.baseline.folder import Baseline
from fixtures.errors import Unverifiable
from fixtures.incident.trials import Part, PartTrial, TrialOf
from fixtures.target.profile import Target

if TYPE_CHECKING:
    from rollback_actions.rollback.rollback_trial import RollbackTrial


@pytest.fixture(scope="session")
def _rollback_trial(target: Target, baseline: Baseline) -> RollbackTrial:
    # Only these checks need plans and packages: a run of another stage does not wait for them.
    from rollback_actions.rollback.rollback_trial import RollbackTrial  # noqa: PLC0415

    return RollbackTrial(target, baseline)


@pytest.fixture(scope="session")
def rollback_trial(_rollback_trial: RollbackTrial) -> TrialOf:
    """Tries a part of a rollback to the working copy's commit: ``rollback_trial(Part.IMAGES)``."""

    def tried(part: Part) -> PartTrial:
        trial = _rollback_trial.of(part)
        if isinstance(trial.problem, Unverifiable):
            raise trial.problem
        return trial

    return tried
