"""Allure: results as they are written, their categories, descriptions, metadata and seals."""
