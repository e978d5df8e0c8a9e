"""Before a migration: its rehearsal; and its reopening afterwards.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.git`, `fixtures.engines`,
`fixtures.incident`, `fixtures.sealing`, `fixtures.gating`, `fixtures.rollback`, `fixtures.doctor`,
`rollback_actions.session`, `rollback_actions.containers`, `rollback_actions.backup`,
`rollback_actions.rollback`.
"""
