"""Wires the house together: the one module that imports from every room."""

pytest_plugins = [
    "fixtures.gating.ends",
    "fixtures.gating.evidence",
    "fixtures.gating.windows",
    "fixtures.gating.phases",
    "fixtures.gating.recorder",
    "fixtures.gating.waivers",
    "fixtures.gating.failing",
    "fixtures.given.given",
    "fixtures.given.cases",
    "fixtures.given.given_containers",
    "fixtures.given.asking",
    "fixtures.given.contents",
    "fixtures.given.given_backup",
    "fixtures.given.given_premigration",
    "reports.run.scrubbing",
    "reports.allure.results",
    "reports.run.annotations",
    "reports.run.causes",
    "reports.run.junit",
    "reports.run.record",
]
