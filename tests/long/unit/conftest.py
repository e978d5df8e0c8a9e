"""What the long tests without a stack share with the unit tests."""

from tests.unit.conftest import (
    away,
    commands_are_built_once,
    history,
    incident,
    made,
    no_disk_is_waited_for,
    nothing_is_known,
    place,
    releases,
    rolled,
    run,
    sandbox,
    server,
    stopped_clock,
    target,
)

__all__ = [
    "away",
    "commands_are_built_once",
    "history",
    "incident",
    "made",
    "no_disk_is_waited_for",
    "nothing_is_known",
    "place",
    "releases",
    "rolled",
    "run",
    "sandbox",
    "server",
    "stopped_clock",
    "target",
]
