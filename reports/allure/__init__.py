"""Allure: results as they are written, their categories, descriptions, metadata and seals.

May import `fixtures`, `fixtures.redaction`, `fixtures.system`, `fixtures.target`, `fixtures.incident`,
`fixtures.gating`, `reports.text`.
"""
