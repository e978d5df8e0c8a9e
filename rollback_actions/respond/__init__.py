"""The response to an incident: the runbook's emergency flow.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.monitoring`, `fixtures.decision`,
`fixtures.incident`, `fixtures.sealing`, `fixtures.team`, `fixtures.application`, `fixtures.monitor`,
`fixtures.rollback`, `reports.terminal`, `rollback_actions.session`, `rollback_actions.gate`.
"""
