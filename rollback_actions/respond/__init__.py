"""The response to an incident: the runbook's emergency flow, and its reference card.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.git`, `fixtures.engines`,
`fixtures.monitoring`, `fixtures.decision`, `fixtures.incident`, `fixtures.baseline`, `fixtures.backups`,
`fixtures.team`, `fixtures.monitor`, `fixtures.rollback`, `reports.terminal`, `rollback_actions.session`,
`rollback_actions.rollback`, `rollback_actions.gate`.
"""
