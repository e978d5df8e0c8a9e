"""Milvus as it is written: a snapshot of all its volumes together, as of one moment.

`keeper` alone.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.stores`, `fixtures.stores.milvus`,
`fixtures.backups`, `rollback_actions.stores`.
"""
