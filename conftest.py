"""Wires the house together: the one module that imports from every room."""

pytest_plugins = [
    "fixtures.evidence",
    "fixtures.windows",
    "fixtures.phases",
    "fixtures.recorder",
    "fixtures.waivers",
    "fixtures.watchdog",
    "fixtures.leftovers",
    "fixtures.given",
    "fixtures.given_rehearsals",
    "fixtures.asking",
    "fixtures.contents",
    "fixtures.saved_state",
    "fixtures.given_migration",
    "rollback_actions.given_rollback",
    "fixtures.given_change",
    "reports.scrubbing",
    "reports.allure_results",
    "reports.annotations",
    "reports.record",
]
