"""Tests of the staging stack's own code, and of what runs the tests."""
