"""PostgreSQL: rows counted and hashed in the server, the definitions around them.

`descriptor`; `client`, `reader`, with `table` and `schema`; `vectors` of pgvector;
`unlisted` for roles, slots and settings. What writes: `keeper`.
"""
