"""Redis as it is written: every key as the server serialises it, with its expiry.

`keeper`; `clients` that are connected.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.stores`, `fixtures.stores.redis`,
`fixtures.backups`, `rollback_actions.stores`.
"""
