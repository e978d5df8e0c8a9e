"""Qdrant, write side.

May import `fixtures.system`, `fixtures.target`, `fixtures.stores`, `fixtures.stores.qdrant`,
`rollback_actions.stores`.
"""
