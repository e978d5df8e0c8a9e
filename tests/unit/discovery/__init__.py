"""Tests of `init` and `doctor`, which look at a stack that nobody has described."""
