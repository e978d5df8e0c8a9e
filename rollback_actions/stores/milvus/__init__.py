"""Milvus, write side.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.stores`, `fixtures.stores.milvus`,
`fixtures.backups`, `rollback_actions.stores`.
"""
