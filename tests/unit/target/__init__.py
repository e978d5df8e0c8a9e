"""Tests of the profile: what it says, what is wrong in it, and who may change its target."""
