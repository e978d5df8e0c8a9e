"""Before a migration: saved state, notice to the team, rehearsal; and its reopening afterwards.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.git`, `fixtures.engines`,
`fixtures.incident`, `fixtures.sealing`, `fixtures.baseline`, `fixtures.team`, `fixtures.rollback`,
`fixtures.doctor`, `rollback_actions.session`, `rollback_actions.containers`, `rollback_actions.contacts`,
`rollback_actions.backup`, `rollback_actions.rollback`.
"""
