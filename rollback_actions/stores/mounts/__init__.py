"""The application's own files as they are written: a tar of each mount, with owners, permissions and links.

`keeper` alone.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.engines`, `fixtures.stores`,
`fixtures.stores.mounts`, `fixtures.backups`, `rollback_actions.stores`.
"""
