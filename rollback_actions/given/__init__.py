"""The pytest fixtures of checks that try a backup or a rollback. The target stays as it is.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.incident`, `fixtures.baseline`,
`fixtures.backups`, `fixtures.gating`, `rollback_actions.session`, `rollback_actions.backup`,
`rollback_actions.rollback`.
"""
