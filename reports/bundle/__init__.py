"""The bundle: one archive of an incident to hand on, and the check that it is what was written.

May import `fixtures`, `fixtures.redaction`, `fixtures.system`, `fixtures.target`, `fixtures.incident`,
`fixtures.sealing`.
"""
