"""Moved to `tests.world.stores`."""

from tests.world.stores import BaselineRecorder as Recorder
from tests.world.stores import Content as StandIn
from tests.world.stores import Searchable, opener

__all__ = ["Recorder", "Searchable", "StandIn", "opener"]
