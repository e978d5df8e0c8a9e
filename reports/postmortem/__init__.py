"""`postmortem.md`: the incident as its record tells it, with blanks for the facts only people know.

May import `fixtures`, `fixtures.redaction`, `fixtures.system`, `fixtures.target`, `fixtures.monitoring`,
`fixtures.incident`, `fixtures.sealing`, `fixtures.team`, `reports.text`, `reports.incident`,
`reports.verdict`, `reports.timeline`.
"""
