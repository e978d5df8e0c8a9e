"""MySQL and MariaDB, write side.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.stores`, `fixtures.stores.mysql`,
`fixtures.backups`, `rollback_actions.containers`, `rollback_actions.stores`.
"""
