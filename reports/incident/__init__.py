"""The folder of an incident, as far as it can be trusted, and the events that it tells of.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.monitoring`, `fixtures.incident`,
`fixtures.sealing`, `fixtures.team`, `fixtures.rollback`, `reports.text`, `reports.allure`.
"""
