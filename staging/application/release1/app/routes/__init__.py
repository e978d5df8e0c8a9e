"""The API, a module a path prefix.

Every handler is synchronous and so runs in a thread: a slow store holds up no other request.
"""
