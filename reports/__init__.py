"""Incident records: Allure results, the one-file report, the verdict. Its own modules are the command line.

May import `fixtures`, `fixtures.system`, `reports.terminal`, `reports.run`.
"""
