"""Stores: what reads and what keeps them, how to reach them, their records part by part, and policies.

Each store is a package: its `descriptor`; `reader`, over its `client`, which reads it; its `keeper`, which
backs it up and restores it, for `rollback_actions` alone. A driver is imported there, when that
store is used.
"""
