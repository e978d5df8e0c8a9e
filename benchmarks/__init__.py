"""Side-by-side runs against peers.

May import `fixtures.*`, `reports.*`, `rollback_actions.*`, `staging.*`, `tests.*`.
"""
