"""The application's own state in volumes and folders, write side.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.engines`, `fixtures.stores`,
`fixtures.stores.mounts`, `fixtures.backups`, `rollback_actions.stores`.
"""
