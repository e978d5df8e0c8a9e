"""Qdrant: points with payloads and vectors, over its REST interface.

`descriptor`; `client`, `reader`. What writes: `keeper`.
"""
