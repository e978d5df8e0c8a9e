"""The commands of `python -m rollback_actions`, their options, and how each is loaded when it is asked for.

May import `fixtures`, `fixtures.redaction`, `fixtures.system`, `fixtures.target`, `fixtures.git`,
`fixtures.engines`, `fixtures.discovery`, `fixtures.monitoring`, `fixtures.decision`, `fixtures.incident`,
`fixtures.sealing`, `fixtures.baseline`, `fixtures.team`, `fixtures.gating`, `fixtures.probes`,
`fixtures.monitor`, `fixtures.rollback`, `fixtures.doctor`, `fixtures.migration_lint`, `reports.tools`,
`reports.terminal`, `reports.answers`, `reports.bundle`, `rollback_actions.session`,
`rollback_actions.containers`, `rollback_actions.contacts`, `rollback_actions.backup`,
`rollback_actions.rollback`, `rollback_actions.gate`, `rollback_actions.respond`.
"""
