"""`report.html`: one file with everything in it, and the history of checks that it shows.

May import `fixtures`, `fixtures.system`, `fixtures.incident`, `reports.text`, `reports.tools`,
`reports.allure`, `reports.verdict`.
"""
