"""Tests of `rollproof.system`, of errors and of what a command prints at its edge."""
