"""The runbook's stages: steps before a migration, phases after a rollback.

A check has one stage, by its marker; its parameters say what it is about.
"""

from __future__ import annotations

from dataclasses import dataclass

from rollproof.collection import Case

STEPS = ("step1", "step2", "step3", "step4", "step5")
PHASES = ("phase1", "phase2", "phase3", "phase4")
STAGES = (*STEPS, *PHASES)
OF_A_STORE = (
    *("store", "collection", "vectors", "schema", "content", "searched"),
    *("moving_store", "shared_store"),
)
"""Parameters of checks that are about a store of the baseline, see `store_in`."""


@dataclass(frozen=True, slots=True, repr=False)
class Replica:
    """One recorded container of a service, as the parameter of a check; `number` is None without others."""

    service: str
    number: int | None = None

    @property
    def id(self) -> str:
        """Its name in a check's id: ``backend``, or the ``backend/2`` of several."""
        return self.service if self.number is None else f"{self.service}/{self.number}"

    def __repr__(self) -> str:
        """Return its name as reports show a parameter."""
        return repr(self.id)

    def __str__(self) -> str:
        """Return its name."""
        return self.id


def store_in(parameter: object) -> str:
    """Return the store of a check's parameter: that of a case, or the parameter, which is a store's name."""
    return parameter.store if isinstance(parameter, Case) else str(parameter)
