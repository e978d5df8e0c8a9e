"""Redis, write side.

May import `fixtures.system`, `fixtures.target`, `fixtures.stores`, `fixtures.stores.redis`,
`fixtures.backups`, `rollback_actions.stores`.
"""
