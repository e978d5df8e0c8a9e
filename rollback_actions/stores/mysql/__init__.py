"""MySQL and MariaDB as they are written: dumped by the server's own program, and put back by its client.

`keeper`, with the server's `programs`, the `dump` as a file, `schema` of its objects, and `floats` that a
dump would change. `clients` that are connected.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.stores`, `fixtures.stores.mysql`,
`fixtures.backups`, `rollback_actions.containers`, `rollback_actions.stores`.
"""
