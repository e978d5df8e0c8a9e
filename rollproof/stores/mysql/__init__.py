"""MySQL and MariaDB: rows counted and hashed in the server, the definitions around them.

`descriptor`; `connection`, `reader`, with `rows`, `columns`, `keys` of a table;
`schema`; `accounts` and settings beside the databases; `privileges` and `rights` of an account; `formats`.
`recognition` for `init`. What writes: `keeper`, with `dump`, `floats`, `objects` and `programs`; `clients`.
"""
