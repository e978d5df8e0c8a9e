"""Shared by all pages of a record: Markdown of untrusted texts, titles, bounds of evidence, the redactor."""
