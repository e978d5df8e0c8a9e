"""The response to an incident: the runbook's emergency flow, and its reference card.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.git`, `fixtures.engines`,
`fixtures.monitoring`, `fixtures.decision`, `fixtures.incident`, `fixtures.baseline`, `fixtures.backups`,
`fixtures.monitor`, `fixtures.rollback`, `rollback_actions.session`.
"""
