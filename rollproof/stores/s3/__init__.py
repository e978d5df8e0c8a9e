"""S3: objects listed and read whole, versions as the server lists them.

`descriptor`; `client`, `reader`, with the `listing` in parts; `settings` of a bucket;
`recognition` for `init`. What writes: `keeper`, with `objects`.
"""
