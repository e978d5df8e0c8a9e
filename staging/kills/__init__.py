"""Kills: a rollback is killed at each of its steps, resumed, and checked."""
