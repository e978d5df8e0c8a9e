"""MongoDB: documents counted one by one, and hashed as the server's own bytes.

`descriptor`; `client`, `reader`, with `bson` of a document; `schema`; `rights` of an account;
`formats` of its data; `recognition` for `init`. What writes: `keeper` and `clients`.
"""
