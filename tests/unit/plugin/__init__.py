"""Tests of the pytest plugin, each run of which is in this process."""
