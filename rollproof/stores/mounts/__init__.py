"""The application's own files in volumes and folders: bytes, permissions and owners.

`descriptor`; `reader`. It is no server: it is read through the containers. What writes:
`keeper`.
"""
