"""A rollback as it is commanded and done: one engine, its checkout, its maintenance, its losses.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.git`, `fixtures.engines`,
`fixtures.stores`, `fixtures.decision`, `fixtures.incident`, `fixtures.sealing`, `fixtures.backups`,
`fixtures.application`, `fixtures.losses`, `fixtures.rollback`, `reports.terminal`, `reports.answers`,
`rollback_actions.session`, `rollback_actions.containers`, `rollback_actions.stores`,
`rollback_actions.backup`.
"""
