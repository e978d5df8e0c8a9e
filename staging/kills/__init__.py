"""Kills: what becomes of a rollback that is killed at any of its steps."""
