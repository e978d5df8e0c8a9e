"""Wires the house together: the one module that imports from every room."""

pytest_plugins = [
    "fixtures.gating.evidence",
    "fixtures.gating.windows",
    "fixtures.target",
    "fixtures.gating.phases",
    "fixtures.gating.recorder",
    "fixtures.gating.failing",
    "fixtures.cases",
    "fixtures.stores",
    "fixtures.application",
    "fixtures.premigration",
    "reports.run.scrubbing",
    "reports.allure.results",
    "reports.run.junit",
    "reports.run.record",
]
