"""Tests of `fixtures.system`, of errors and of what a command prints at its edge."""
