"""Tests of what is drawn and written from a record."""
