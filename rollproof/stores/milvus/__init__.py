"""Milvus: entities hashed field by field. It loads and releases nothing.

`descriptor`; `client`, `reader`, with the `table` of entities. What writes: `keeper`.
"""
