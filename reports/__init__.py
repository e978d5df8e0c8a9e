"""Incident records: Allure results, the report, the verdict. Its own modules are the command line."""
