"""What the long tests without a stack share with the unit tests."""

from tests.unit.conftest import (
    commands_are_built_once,
    incident,
    made,
    no_disk_is_waited_for,
    nothing_is_known,
    place,
    server,
    stopped_clock,
    target,
)

__all__ = [
    "commands_are_built_once",
    "incident",
    "made",
    "no_disk_is_waited_for",
    "nothing_is_known",
    "place",
    "server",
    "stopped_clock",
    "target",
]
