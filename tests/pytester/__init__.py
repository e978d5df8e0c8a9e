"""Tests of the pytest plugin, each in a pytest process of its own."""
