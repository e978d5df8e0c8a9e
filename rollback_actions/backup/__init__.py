"""Backup sets: taken with a baseline, and tried in a scratch instance next to the target."""
