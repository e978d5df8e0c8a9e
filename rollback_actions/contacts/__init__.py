"""Tells people: alerts that the contact flow asks for, the notice of a migration; records their results.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.git`, `fixtures.incident`,
`fixtures.baseline`, `fixtures.team`, `rollback_actions.session`.
"""
