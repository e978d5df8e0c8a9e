"""The response to an incident: the runbook's emergency flow.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.monitoring`, `fixtures.decision`,
`fixtures.incident`, `fixtures.sealing`, `fixtures.team`, `fixtures.gating`, `fixtures.application`,
`fixtures.monitor`, `fixtures.rollback`, `reports.answers`, `rollback_actions.session`.
"""
