"""Moved to `tests.world.baseline`."""

from tests.world.baseline import *  # noqa: F403
