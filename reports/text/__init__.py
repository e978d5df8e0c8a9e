"""Shared by all pages of a record: Markdown of untrusted texts, titles, room for evidence, the redactor."""
