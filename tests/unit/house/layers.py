"""The table of layers: every package of the house, from the bottom up, and what each may import.

A package may import itself and what its row names, for typing too. A row names only rows above it in this
file, so that there can be no cycle. A row speaks for the folders below it that have none of their own.
`ROOM.*` is every package of a room. The docstring of a package says the same as its row.

Descriptors of stores name modules by text, imported when they are first used: no row speaks of that.
"""

from __future__ import annotations

_ROWS = {
    "fixtures": "",
    "fixtures.redaction": "fixtures",
    "fixtures.system": "fixtures fixtures.redaction",
    "fixtures.target": "fixtures fixtures.redaction",
    "fixtures.git": "fixtures fixtures.system",
    "fixtures.engines": "fixtures fixtures.system fixtures.target",
    "fixtures.monitoring": "fixtures fixtures.system fixtures.target",
    "fixtures.stores": "fixtures fixtures.redaction fixtures.system fixtures.target fixtures.engines",
    "fixtures.discovery": (
        "fixtures fixtures.redaction fixtures.system fixtures.target fixtures.git fixtures.engines "
        "fixtures.stores"
    ),
    "fixtures.decision": "fixtures.monitoring",
    "fixtures.sealing": "fixtures fixtures.system fixtures.target",
    "fixtures.incident": (
        "fixtures fixtures.redaction fixtures.system fixtures.target fixtures.git fixtures.monitoring "
        "fixtures.decision fixtures.sealing"
    ),
    "fixtures.stores.mysql": "fixtures fixtures.system fixtures.target fixtures.stores",
    "fixtures.stores.mongodb": "fixtures fixtures.system fixtures.target fixtures.stores",
    "fixtures.stores.redis": "fixtures fixtures.target fixtures.stores",
    "fixtures.stores.s3": "fixtures fixtures.system fixtures.target fixtures.stores",
    "fixtures.stores.kafka": "fixtures fixtures.target fixtures.stores",
    "fixtures.stores.qdrant": "fixtures fixtures.system fixtures.target fixtures.stores",
    "fixtures.stores.milvus": "fixtures fixtures.system fixtures.target fixtures.stores",
    "fixtures.stores.mounts": "fixtures fixtures.system fixtures.target fixtures.engines fixtures.stores",
    "fixtures.baseline": (
        "fixtures fixtures.system fixtures.target fixtures.git fixtures.engines fixtures.stores"
    ),
    "fixtures.backups": (
        "fixtures fixtures.system fixtures.target fixtures.git fixtures.engines fixtures.stores"
    ),
    "fixtures.team": "fixtures fixtures.system fixtures.target fixtures.monitoring fixtures.incident",
    "fixtures.gating": (
        "fixtures fixtures.system fixtures.target fixtures.git fixtures.engines fixtures.incident "
        "fixtures.sealing fixtures.baseline"
    ),
    "fixtures.application": (
        "fixtures fixtures.redaction fixtures.system fixtures.target fixtures.engines fixtures.stores"
    ),
    "fixtures.probes": (
        "fixtures fixtures.system fixtures.target fixtures.engines fixtures.monitoring fixtures.stores "
        "fixtures.baseline fixtures.application"
    ),
    "fixtures.monitor": (
        "fixtures fixtures.system fixtures.target fixtures.monitoring fixtures.decision fixtures.incident "
        "fixtures.probes"
    ),
    "fixtures.losses": (
        "fixtures fixtures.system fixtures.target fixtures.engines fixtures.stores fixtures.incident "
        "fixtures.baseline fixtures.backups"
    ),
    "fixtures.rollback": (
        "fixtures fixtures.system fixtures.target fixtures.git fixtures.engines fixtures.stores "
        "fixtures.decision fixtures.incident fixtures.baseline fixtures.backups"
    ),
    "fixtures.doctor": (
        "fixtures fixtures.redaction fixtures.system fixtures.target fixtures.git fixtures.engines "
        "fixtures.monitoring fixtures.stores fixtures.incident fixtures.sealing fixtures.baseline "
        "fixtures.backups fixtures.application fixtures.probes"
    ),
    "fixtures.migration_lint": "fixtures fixtures.target fixtures.baseline",
    "fixtures.given": (
        "fixtures fixtures.system fixtures.target fixtures.git fixtures.engines fixtures.monitoring "
        "fixtures.stores fixtures.incident fixtures.baseline fixtures.team fixtures.gating "
        "fixtures.application fixtures.rollback fixtures.migration_lint"
    ),
    "reports.text": "fixtures fixtures.redaction",
    "reports.tools": "fixtures fixtures.redaction fixtures.system",
    "reports.terminal": "fixtures fixtures.redaction fixtures.system",
    "reports.answers": (
        "fixtures fixtures.system fixtures.target fixtures.git fixtures.engines fixtures.monitoring "
        "fixtures.decision fixtures.incident fixtures.sealing fixtures.baseline fixtures.backups "
        "fixtures.team fixtures.application fixtures.losses fixtures.rollback fixtures.doctor "
        "reports.terminal"
    ),
    "reports.bundle": (
        "fixtures fixtures.redaction fixtures.system fixtures.target fixtures.incident fixtures.sealing"
    ),
    "reports.allure": (
        "fixtures fixtures.redaction fixtures.system fixtures.target fixtures.incident fixtures.gating "
        "reports.text"
    ),
    "reports.incident": (
        "fixtures fixtures.system fixtures.target fixtures.monitoring fixtures.incident fixtures.sealing "
        "fixtures.team fixtures.rollback "
        "reports.text reports.allure"
    ),
    "reports.verdict": (
        "fixtures fixtures.system fixtures.target fixtures.incident fixtures.sealing "
        "fixtures.baseline fixtures.gating reports.text reports.incident"
    ),
    "reports.timeline": (
        "fixtures fixtures.system fixtures.target fixtures.monitoring fixtures.incident fixtures.team "
        "fixtures.rollback reports.text reports.incident"
    ),
    "reports.postmortem": (
        "fixtures fixtures.redaction fixtures.system fixtures.target fixtures.monitoring "
        "fixtures.incident fixtures.sealing fixtures.team reports.text reports.incident reports.verdict "
        "reports.timeline"
    ),
    "reports.pictures": (
        "fixtures fixtures.system fixtures.monitoring fixtures.incident reports.text reports.tools "
        "reports.incident reports.verdict reports.timeline"
    ),
    "reports.html": (
        "fixtures fixtures.system fixtures.incident reports.text reports.tools reports.allure reports.verdict"
    ),
    "reports.run": (
        "fixtures fixtures.redaction fixtures.system fixtures.target fixtures.incident fixtures.sealing "
        "fixtures.baseline fixtures.gating fixtures.application fixtures.given reports.text reports.tools "
        "reports.allure reports.incident reports.verdict reports.postmortem reports.html"
    ),
    "reports": "fixtures fixtures.system reports.terminal reports.run",
    "rollback_actions.session": (
        "fixtures fixtures.system fixtures.target fixtures.engines fixtures.incident fixtures.sealing "
        "fixtures.baseline fixtures.rollback reports.terminal"
    ),
    "rollback_actions.containers": "fixtures fixtures.system fixtures.target fixtures.engines",
    "rollback_actions.stores": (
        "fixtures fixtures.system fixtures.target fixtures.engines fixtures.stores fixtures.backups "
        "rollback_actions.containers"
    ),
    "rollback_actions.contacts": (
        "fixtures fixtures.system fixtures.target fixtures.git fixtures.incident fixtures.baseline "
        "fixtures.team rollback_actions.session"
    ),
    "rollback_actions.stores.mysql": (
        "fixtures fixtures.system fixtures.target fixtures.stores fixtures.stores.mysql fixtures.backups "
        "rollback_actions.containers rollback_actions.stores"
    ),
    "rollback_actions.stores.mongodb": (
        "fixtures fixtures.system fixtures.target fixtures.stores fixtures.stores.mongodb fixtures.backups "
        "rollback_actions.stores"
    ),
    "rollback_actions.stores.redis": (
        "fixtures fixtures.system fixtures.target fixtures.stores fixtures.stores.redis fixtures.backups "
        "rollback_actions.stores"
    ),
    "rollback_actions.stores.s3": (
        "fixtures fixtures.system fixtures.target fixtures.stores fixtures.stores.s3 fixtures.backups "
        "rollback_actions.stores"
    ),
    "rollback_actions.stores.kafka": (
        "fixtures fixtures.system fixtures.target fixtures.stores fixtures.stores.kafka fixtures.backups "
        "rollback_actions.stores"
    ),
    "rollback_actions.stores.qdrant": (
        "fixtures fixtures.system fixtures.target fixtures.stores fixtures.stores.qdrant fixtures.backups "
        "rollback_actions.stores"
    ),
    "rollback_actions.stores.milvus": (
        "fixtures fixtures.system fixtures.target fixtures.stores fixtures.stores.milvus fixtures.backups "
        "rollback_actions.stores"
    ),
    "rollback_actions.stores.mounts": (
        "fixtures fixtures.system fixtures.target fixtures.engines fixtures.stores fixtures.stores.mounts "
        "fixtures.backups rollback_actions.stores"
    ),
    "rollback_actions.backup": (
        "fixtures fixtures.system fixtures.target fixtures.engines fixtures.stores fixtures.incident "
        "fixtures.baseline fixtures.backups rollback_actions.containers rollback_actions.stores"
    ),
    "rollback_actions.rollback": (
        "fixtures fixtures.system fixtures.target fixtures.git fixtures.engines fixtures.stores "
        "fixtures.decision fixtures.incident fixtures.sealing fixtures.backups fixtures.application "
        "fixtures.losses fixtures.rollback reports.terminal reports.answers rollback_actions.session "
        "rollback_actions.containers rollback_actions.stores rollback_actions.backup"
    ),
    "rollback_actions.gate": (
        "fixtures fixtures.system fixtures.target fixtures.git fixtures.engines fixtures.incident "
        "fixtures.sealing fixtures.gating fixtures.rollback fixtures.doctor rollback_actions.session "
        "rollback_actions.containers rollback_actions.backup rollback_actions.rollback"
    ),
    "rollback_actions.respond": (
        "fixtures fixtures.system fixtures.target fixtures.monitoring fixtures.decision fixtures.incident "
        "fixtures.sealing fixtures.team fixtures.gating fixtures.application fixtures.monitor "
        "fixtures.rollback reports.answers rollback_actions.session"
    ),
    "rollback_actions.given": (
        "fixtures fixtures.system fixtures.target fixtures.incident fixtures.baseline fixtures.backups "
        "fixtures.gating rollback_actions.backup"
    ),
    "rollback_actions.cli": (
        "fixtures fixtures.redaction fixtures.system fixtures.target fixtures.git fixtures.engines "
        "fixtures.discovery fixtures.monitoring fixtures.decision fixtures.incident fixtures.sealing "
        "fixtures.baseline fixtures.team fixtures.gating fixtures.probes fixtures.monitor "
        "fixtures.rollback fixtures.doctor fixtures.migration_lint reports.tools reports.terminal "
        "reports.answers reports.bundle rollback_actions.session rollback_actions.containers "
        "rollback_actions.contacts rollback_actions.backup rollback_actions.rollback "
        "rollback_actions.gate rollback_actions.respond"
    ),
    "rollback_actions": "fixtures fixtures.system reports.terminal rollback_actions.cli",
    "rollproof": "fixtures fixtures.system rollback_actions",
    "checks": "",
    "checks.premigration": "fixtures.*",
    "checks.severity": "fixtures.*",
    "checks.verification": "fixtures.*",
    "staging.machine": "fixtures.*",
    "staging.stack": "fixtures.* reports.* rollback_actions.* staging.machine",
    "staging.target": "fixtures.* staging.machine",
    "staging.releases": "fixtures.* reports.* rollback_actions.* staging.machine staging.stack",
    "staging.rehearsal": (
        "fixtures.* reports.* rollback_actions.* staging.machine staging.stack staging.releases"
    ),
    "staging.drills": "fixtures.* reports.* rollback_actions.* staging.stack staging.target",
    "staging.faults": "fixtures.* reports.* rollback_actions.* staging.machine staging.stack staging.target",
    "staging.kills": "fixtures.* reports.* rollback_actions.* staging.machine staging.stack staging.target",
    "staging": (
        "fixtures.* reports.* rollback_actions.* staging.machine staging.stack staging.releases "
        "staging.rehearsal staging.drills staging.faults staging.kills"
    ),
    # Not of the house: it measures the house, and makes projects as the tests do.
    "benchmarks": "fixtures.* reports.* rollback_actions.* staging.* tests.*",
}
LAYERS = {package: tuple(names.split()) for package, names in _ROWS.items()}

DIVIDED = ("fixtures", "reports", "rollback_actions", "staging")
"""Rooms that are divided into packages, to which the rules below apply."""
MOST_MODULES = 15
"""Of a package, `__init__.py` apart."""
LONGEST_CHAIN = 8
"""Packages of one room, each of which imports the next."""
LONGEST_ACROSS = 13
"""The same across all rooms."""
OF_EACH_STORE = (
    *("descriptor", "view", "content", "export", "rights"),
    *("keeper", "clients", "schema", "formats", "recognition"),
)
"""Parts that several stores have: beside `__main__` the only names that a room has more than once."""
