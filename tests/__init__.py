"""Tests of Rollproof itself."""
