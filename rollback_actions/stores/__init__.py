"""The write side of stores: back up, restore, list clients.

Each store is a package here, with a module `keeper`, and a module `clients` if it can list its clients. A
driver is imported there when that store is used.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.engines`, `fixtures.stores`,
`fixtures.backups`, `rollback_actions.containers`.
"""
