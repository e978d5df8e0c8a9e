"""Everything that may change the target. Its own modules are the command line, and its beginning.

May import `fixtures`, `fixtures.system`, `reports.terminal`, `rollback_actions.cli`.
"""
