"""Tests of checks, their order and windows, and of the gate's steps."""
