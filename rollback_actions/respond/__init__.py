"""The response to an incident: assessment, decision, the runbook's emergency flow, the reference card.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.git`, `fixtures.engines`,
`fixtures.monitoring`, `fixtures.decision`, `fixtures.incident`, `fixtures.baseline`, `fixtures.probes`,
`fixtures.losses`, `fixtures.monitor`, `rollback_actions.session`, `rollback_actions.backup`,
`rollback_actions.rollback`.
"""
