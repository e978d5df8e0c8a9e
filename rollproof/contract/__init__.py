"""What every store holds: ``pytest --pyargs rollproof.contract`` tries the stores that distributions name.

A distribution names its `Subject` in the group of entry points `rollproof.contract`: see
docs/howto/add-a-store.md. The suite's own stores are held to the same tests, on real servers.
"""
