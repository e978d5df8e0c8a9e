"""Redis, write side.

May import `fixtures.system`, `fixtures.target`, `fixtures.stores`, `fixtures.stores.redis`,
`rollback_actions.stores`.
"""
