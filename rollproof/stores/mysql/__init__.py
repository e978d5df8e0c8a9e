"""MySQL and MariaDB: rows counted and hashed in the server, the definitions around them.

`descriptor`; `connection`, `reader`, with `table` and `rows`; `schema`; `privileges` of an account,
and what is in no database. What writes: `keeper`, with `dump`.
"""
