"""Kafka, write side.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.stores`, `fixtures.stores.kafka`,
`fixtures.backups`, `rollback_actions.stores`.
"""
