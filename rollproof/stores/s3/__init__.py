"""S3: objects listed and read whole, versions as the server lists them.

`descriptor`; `client`, `reader`, with `objects`. What writes: `keeper`.
"""
