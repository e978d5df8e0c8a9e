"""Qdrant: points with payloads and vectors, over its REST interface.

`descriptor`; `view`, `content`, `export`; `formats` of its data; `recognition` for `init`.
What writes: `keeper`.
"""
