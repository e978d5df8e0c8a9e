"""A rollback: its plan, its refusals, the one engine that does it, and the record of an interrupted one.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.git`, `fixtures.engines`,
`fixtures.decision`, `fixtures.incident`, `fixtures.baseline`, `fixtures.losses`, `rollback_actions.session`,
`rollback_actions.containers`, `rollback_actions.stores`, `rollback_actions.backup`.
"""
