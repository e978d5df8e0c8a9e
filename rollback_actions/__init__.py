"""Everything that may change the target. Its own module is the command line.

May import `fixtures`, `reports.terminal`, `rollback_actions.cli`.
"""
