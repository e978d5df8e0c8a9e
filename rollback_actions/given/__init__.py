"""The pytest fixtures of checks that try a backup. The target stays as it is.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.incident`, `fixtures.baseline`,
`fixtures.backups`, `fixtures.gating`, `rollback_actions.backup`.
"""
