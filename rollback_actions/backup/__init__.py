"""Backup sets: taken with a baseline, and tried in a scratch instance next to the target.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.engines`, `fixtures.stores`,
`fixtures.incident`, `fixtures.baseline`, `fixtures.backups`, `rollback_actions.containers`,
`rollback_actions.stores`.
"""
