"""MongoDB, write side.

May import `fixtures.system`, `fixtures.target`, `fixtures.stores`, `fixtures.stores.mongodb`,
`fixtures.backups`, `rollback_actions.stores`.
"""
