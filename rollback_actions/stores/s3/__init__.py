"""S3, write side.

May import `fixtures.system`, `fixtures.target`, `fixtures.stores`, `fixtures.stores.s3`, `fixtures.backups`,
`rollback_actions.stores`.
"""
