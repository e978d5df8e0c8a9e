"""The timeline of an incident: all its events, in order, from its folder alone.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.monitoring`, `fixtures.incident`,
`fixtures.team`, `fixtures.rollback`, `reports.text`, `reports.incident`.
"""
