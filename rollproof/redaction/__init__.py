"""Secrets and personal data: their recognition, their removal from texts, the last scan of a record."""
