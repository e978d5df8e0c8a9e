"""The records that a Kafka broker removes from a topic by itself: by age and by size."""

from __future__ import annotations

from collections.abc import Mapping

from rollproof.stores.contract import Retention


def retention_of(configuration: Mapping[str, str]) -> Retention | None:
    """Return a topic's retention by its configuration, inherited values included; None if that hides it.

    Compaction removes superseded records as well: a compacted topic needs the policy `volatile`.
    """
    if "retention.ms" not in configuration:
        return None
    policies = configuration.get("cleanup.policy", "delete").split(",")

    def limit(name: str) -> int | None:
        value = int(configuration.get(name, -1))
        return value if value >= 0 and "delete" in policies else None

    milliseconds = limit("retention.ms")
    return Retention(
        seconds=None if milliseconds is None else milliseconds / 1000,
        size=limit("retention.bytes"),
        compacted="compact" in policies,
    )


def ends(retention: Retention | None, stamped: int | None) -> float | None:
    """Return the time from which a record may be gone, in seconds since 1970, or None for never.

    `stamped` is its timestamp in milliseconds. The limit of size knows no time, and is left out.
    """
    if stamped is None or retention is None or retention.seconds is None:
        return None
    return stamped / 1000 + retention.seconds
