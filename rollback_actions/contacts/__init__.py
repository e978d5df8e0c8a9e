"""Tells people: sends the alerts that the contact flow asks for, and records their results.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.incident`, `fixtures.team`,
`rollback_actions.session`.
"""
