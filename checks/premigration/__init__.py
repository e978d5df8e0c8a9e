"""Checks that must pass before a migration is promoted: step by step, as in the runbook."""
