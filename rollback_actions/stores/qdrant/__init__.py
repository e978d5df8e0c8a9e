"""Qdrant as it is written: a snapshot of each collection, its configuration and its aliases.

`keeper` alone.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.stores`, `fixtures.stores.qdrant`,
`fixtures.backups`, `rollback_actions.stores`.
"""
