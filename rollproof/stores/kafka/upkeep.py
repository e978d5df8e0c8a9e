"""The records that a Kafka broker removes from a topic by itself: by age and by size."""

from __future__ import annotations

from collections.abc import Mapping

from rollproof.profile.sections import Model
from rollproof.stores.contract import Retention


class Upkeep(Model):
    """A topic's own removals; None means that no limit is set, or that the broker hides it.

    `milliseconds` is the age at which a record may go, `size` the bytes that a partition may have. Compaction
    removes superseded records as well: a `compacted` topic needs the policy `volatile`.
    """

    milliseconds: int | None = None
    size: int | None = None
    compacted: bool = False

    def ends(self, stamped: int | None) -> float | None:
        """Return the time from which a record may be gone, in seconds since 1970, or None for never.

        `stamped` is its timestamp in milliseconds. The limit of size knows no time, and is left out.
        """
        if stamped is None or self.milliseconds is None:
            return None
        return (stamped + self.milliseconds) / 1000


def upkeep_of(configuration: Mapping[str, str]) -> Upkeep:
    """Return what a topic's configuration says, inherited values included."""
    policies = configuration.get("cleanup.policy", "delete").split(",")

    def limit(name: str) -> int | None:
        value = int(configuration.get(name, -1))
        return value if value >= 0 else None

    deletes = "delete" in policies
    return Upkeep(
        milliseconds=limit("retention.ms") if deletes else None,
        size=limit("retention.bytes") if deletes else None,
        compacted="compact" in policies,
    )


def retention_of(configuration: Mapping[str, str]) -> Retention | None:
    """Return a topic's retention, or None if its configuration does not tell it."""
    if "retention.ms" not in configuration:
        return None
    upkeep = upkeep_of(configuration)
    return Retention(
        seconds=None if upkeep.milliseconds is None else upkeep.milliseconds / 1000,
        size=upkeep.size,
        compacted=upkeep.compacted,
    )
