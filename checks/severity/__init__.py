"""Severity of an incident."""
