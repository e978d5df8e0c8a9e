"""The pictures of an incident, one module each. They import Matplotlib, which takes a second.

May import `fixtures`, `fixtures.system`, `fixtures.monitoring`, `fixtures.incident`, `reports.text`,
`reports.tools`, `reports.incident`, `reports.verdict`, `reports.timeline`.
"""
