"""Kafka as it is written: retained records, configuration of topics, offsets of groups.

`keeper`; `admin` of topics, offsets and records.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.stores`, `fixtures.stores.kafka`,
`fixtures.backups`, `rollback_actions.stores`.
"""
