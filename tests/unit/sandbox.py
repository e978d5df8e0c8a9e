"""Moved to `tests.world.sandbox`."""

from tests.world.sandbox import *  # noqa: F403
