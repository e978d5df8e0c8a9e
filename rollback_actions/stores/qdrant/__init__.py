"""Qdrant, write side.

May import `fixtures.system`, `fixtures.target`, `fixtures.stores`, `fixtures.stores.qdrant`,
`fixtures.backups`, `rollback_actions.stores`.
"""
