"""Moved to `tests.world.application`."""

from tests.world.application import *  # noqa: F403
