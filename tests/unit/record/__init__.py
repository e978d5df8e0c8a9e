"""Tests of an incident's record: its files, its seal, its bundle, and what is kept out of them."""
