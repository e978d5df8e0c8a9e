"""Severity while a migration runs, by the runbook's bands."""
