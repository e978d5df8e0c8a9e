"""Kafka, write side.

May import `fixtures.system`, `fixtures.target`, `fixtures.stores`, `fixtures.stores.kafka`,
`rollback_actions.stores`.
"""
