"""MongoDB as it is written: collections kept as raw bytes, and put back byte for byte.

`keeper`; `clients` that are connected.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.stores`, `fixtures.stores.mongodb`,
`fixtures.backups`, `rollback_actions.stores`.
"""
