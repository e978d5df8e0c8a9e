"""Moved to `tests.world.lock`."""

from tests.world.lock import *  # noqa: F403
