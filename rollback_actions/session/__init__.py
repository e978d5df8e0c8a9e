"""The means of every action: the target's lock, the journal as it is written; a session has both.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.engines`, `fixtures.incident`,
`fixtures.sealing`, `fixtures.baseline`, `fixtures.rollback`, `reports.terminal`.
"""
