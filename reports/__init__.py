"""The incident record: Allure results, the one-file report, the verdict. Its own module is the command line.

May import `fixtures`, `reports.terminal`, `reports.run`.
"""
