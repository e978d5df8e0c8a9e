"""MongoDB: documents counted one by one, and hashed as the server's own bytes.

`descriptor`; `client`, `reader`, with `bson` of a document; `schema`. What writes: `keeper`.
"""
