"""Qdrant: points with payloads and vectors, over its REST interface.

`descriptor`; `client`, `reader`; `formats` of its data; `recognition` for `init`.
What writes: `keeper`.
"""
