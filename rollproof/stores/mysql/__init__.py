"""MySQL and MariaDB: rows counted and hashed in the server, the definitions around them.

`descriptor`; `connection`, `reader`, with `table` and `rows`; `schema`; `accounts` and settings outside the
databases; `privileges` of an account. What writes: `keeper`, with `dump` and `floats`; `clients`.
"""
