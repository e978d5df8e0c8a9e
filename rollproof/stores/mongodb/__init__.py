"""MongoDB: documents counted one by one, and hashed as the server's own bytes.

`descriptor`; `client`, `reader`, with `bson` of a document; `schema`; `rights` of an account. What writes:
`keeper` and `clients`.
"""
