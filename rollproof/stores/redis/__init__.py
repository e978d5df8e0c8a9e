"""Redis: keys grouped by the profile's patterns, values hashed by what applications see.

`descriptor`; `client`, `reader`, with `values` by their types. What writes: `keeper`.
"""
