"""Tests of a baseline: its capture, and what is compared with it."""
