"""Milvus, write side.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.stores`, `fixtures.stores.milvus`,
`rollback_actions.stores`.
"""
