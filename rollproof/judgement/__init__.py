"""Judging what was observed of a target by its baseline and its profile: no input, no output."""
