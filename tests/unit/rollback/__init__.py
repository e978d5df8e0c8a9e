"""Tests of the rollback: its plan, its lock, its steps and its end."""
