"""The report's facts about the run: the environment of its checks."""

from __future__ import annotations

import platform
from importlib.metadata import version

from fixtures.gating.verification import Verification
from rollproof.baseline.facts import Facts
from rollproof.home import version as own_version
from rollproof.incident.incident import Incident, RollbackRecord


def environment(verification: Verification, recorded: Facts | None) -> dict[str, str]:
    """Return target, commits, incident and versions, by the names that a report shows.

    `recorded` are the facts of the baseline, such as commit and images of the good state, if there is one.
    """
    rows = {"Profile": verification.profile.name}
    if verification.migration is not None:
        rows["Migration to"] = verification.migration
    if recorded is not None:
        rows["Baseline of commit"] = recorded.commit
        rows |= {f"Image of {c.service}": c.image for c in recorded.containers}
    incident = verification.incident
    return (
        environment_of(incident, incident.rollback())
        | rows
        | {
            "Rollproof": own_version(),
            "Host": platform.node(),
            "Python": platform.python_version(),
            "pytest": version("pytest"),
            "allure-pytest": version("allure-pytest"),
        }
    )


def environment_of(incident: Incident, rollback: RollbackRecord | None) -> dict[str, str]:
    """Return the facts from the incident's own record, by the same names."""
    rows = {"Incident": incident.id, "Target": incident.target, "Incident began": incident.started.wall}
    if rollback is not None:
        rows["Rollback"] = " ".join([rollback.kind, *rollback.names])
        rows["Rolled back to"] = rollback.commit
        if rollback.origin is not None:
            rows["Rolled back from"] = ", ".join(rollback.origin.commits)
    return rows
