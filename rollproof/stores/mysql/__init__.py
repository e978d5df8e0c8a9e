"""MySQL and MariaDB: rows counted and hashed in the server, the definitions around them.

`descriptor`; `view`, `content`, `export`, with `rows`, `columns` and `keys` of a table; `schema`. `accounts`
and settings beside the databases; `privileges` and `rights` of an account; `formats` of its data.
`recognition` for `init`. What writes: `keeper`, with `dump`, `floats`, `objects` and `programs`; `clients`.
"""
