"""The incident record: Allure results, the one-file report, the verdict."""
