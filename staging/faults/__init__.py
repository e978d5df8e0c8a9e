"""Data faults: each breaks one thing in the real stores, and says which check must see it.

May import `fixtures.*`, `reports.*`, `rollback_actions.*`, `staging.machine`, `staging.stack`,
`staging.target`.
"""
