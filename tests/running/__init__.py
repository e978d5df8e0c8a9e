"""Runs all tests: its parts side by side, with progress, and one table at the end, for `./run tests`."""
