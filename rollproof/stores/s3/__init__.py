"""S3: objects listed and read whole, versions as the server lists them.

`descriptor`; `client`, `reader`; `settings` of a bucket;
`recognition` for `init`. What writes: `keeper`, with `objects`.
"""
