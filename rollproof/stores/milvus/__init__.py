"""Milvus: entities hashed field by field. It loads and releases nothing.

`descriptor`; `client`, `reader`, with the `table` of entities; `schema`;
`formats` of its data; `recognition` for `init`. What writes: `keeper`.
"""
