"""Backup sets: taken with a baseline, and tried in a scratch instance next to the target.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.git`, `fixtures.engines`,
`fixtures.stores`, `fixtures.incident`, `fixtures.baseline`, `fixtures.backups`, `fixtures.application`,
`fixtures.probes`, `fixtures.doctor`, `rollback_actions.session`, `rollback_actions.containers`,
`rollback_actions.stores`.
"""
