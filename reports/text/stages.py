"""Names of stages and checks in a report, and the severity of a stage's failure."""

from __future__ import annotations

# Titles sort in the stages' order.
TITLES = {
    "step1": "Before 1: Backup",
    "step2": "Before 2: Saved state",
    "step3": "Before 3: Monitoring",
    "step4": "Before 4: Team notified",
    "step5": "Before 5: Staging test",
    "phase1": "Phase 1: Infrastructure",
    "phase2": "Phase 2: Connectivity",
    "phase3": "Phase 3: Functionality",
    "phase4": "Phase 4: Data integrity",
}
# Without a backup, a running service or the data, a rollback has nothing to return to.
_BLOCKERS = frozenset({"step1", "phase1", "phase4"})


def severity_of(stage: str) -> str:
    """Return the default severity, in Allure's words, for checks of `stage`."""
    return "blocker" if stage in _BLOCKERS else "critical"


def title_of(check: str) -> str:
    """Return a check's name, or node id, in words.

    >>> title_of("checks/a.py::test_backup_is_recent[redis]")
    'backup is recent: redis'
    """
    name, _, case = check.partition("[")
    words = name.rsplit("::", maxsplit=1)[-1].removeprefix("test_").replace("_", " ")
    return f"{words}: {case.removesuffix(']')}" if case else words


def heading_of(check: str) -> str:
    """Return a check's title with a capital letter.

    >>> heading_of("checks/a.py::test_backup_is_recent[redis]")
    'Backup is recent: redis'
    """
    words = title_of(check)
    return words[:1].upper() + words[1:]
