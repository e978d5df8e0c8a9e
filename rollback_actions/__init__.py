"""Everything that may change the target. Its own module is the command line.

May import `fixtures`, `rollback_actions.cli`.
"""
