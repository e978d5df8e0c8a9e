"""The four phases after a rollback.

May import `fixtures.*`.
"""
