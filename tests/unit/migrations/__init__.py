"""Tests of what is read in a migration."""
