"""Tests against the real servers of the staging stack."""
