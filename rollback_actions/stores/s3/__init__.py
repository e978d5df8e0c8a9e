"""S3 as it is written: objects with their headers and tags, and the versions that a bucket keeps.

`keeper`; `objects`, one at a time.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.stores`, `fixtures.stores.s3`,
`fixtures.backups`, `rollback_actions.stores`.
"""
