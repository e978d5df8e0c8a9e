"""Tests of MySQL's packages."""
