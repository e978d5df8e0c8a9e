"""MongoDB, write side.

May import `fixtures.system`, `fixtures.target`, `fixtures.stores.mongodb`, `rollback_actions.stores`.
"""
