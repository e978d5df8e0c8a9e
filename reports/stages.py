"""The runbook's stages as a report names them: title, and how much it matters when one fails."""

from __future__ import annotations

# Titles sort as the stages are done.
TITLES = {
    "step1": "Before 1: Backup",
    "step2": "Before 2: Saved state",
    "step3": "Before 3: Monitoring",
    "step4": "Before 4: Team notified",
    "step5": "Before 5: Staging test",
    "severity": "During: Severity",
    "phase1": "Phase 1: Infrastructure",
    "phase2": "Phase 2: Connectivity",
    "phase3": "Phase 3: Functionality",
    "phase4": "Phase 4: Data integrity",
}
# Without a backup, a running service or the data there is nothing to go back to.
_BLOCKERS = frozenset({"step1", "phase1", "phase4"})


def severity_of(stage: str) -> str:
    """Return the severity, in Allure's words, of a check of `stage` that does not say otherwise."""
    return "blocker" if stage in _BLOCKERS else "critical"
