"""Wires the house together: the one module that imports from every room."""

pytest_plugins = [
    "fixtures.evidence",
    "fixtures.phases",
    "fixtures.given",
    "fixtures.asking",
    "reports.scrubbing",
    "reports.allure_results",
    "reports.record",
]
