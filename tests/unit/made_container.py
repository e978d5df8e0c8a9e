"""Moved to `tests.world.containers`."""

from tests.world.containers import *  # noqa: F403
