"""The records that a Kafka broker removes from a topic by itself: by age, by size, and by compaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from tempfile import gettempdir
from typing import Any

from rollproof.errors import Unverifiable
from rollproof.profile.sections import Model


class Upkeep(Model):
    """A topic's own removals; None means that no limit is set, or that the broker hides it.

    `milliseconds` is the age at which a record may go, `size` the bytes that a partition may have.
    `tombstones` is the age in milliseconds at which a record without a value may go from a `compacted` log.
    """

    milliseconds: int | None = None
    size: int | None = None
    compacted: bool = False
    tombstones: int | None = None

    def ends(self, stamped: int | None, *, tombstone: bool = False, superseded: bool = False) -> float | None:
        """Return the time from which a record may be gone, in seconds since 1970, or None for never.

        `stamped` is its timestamp in milliseconds. The limit of size knows no time, and is left out.
        """
        if self.compacted and superseded:
            return 0.0
        if stamped is None:
            return None
        ages = (self.milliseconds, self.tombstones if self.compacted and tombstone else None)
        return min(((stamped + age) / 1000 for age in ages if age is not None), default=None)


def upkeep_of(configuration: Mapping[str, str]) -> Upkeep:
    """Return what a topic's configuration says, inherited values included."""
    policies = configuration.get("cleanup.policy", "delete").split(",")

    def limit(name: str) -> int | None:
        value = int(configuration.get(name, -1))
        return value if value >= 0 else None

    deletes, compacted = "delete" in policies, "compact" in policies
    return Upkeep(
        milliseconds=limit("retention.ms") if deletes else None,
        size=limit("retention.bytes") if deletes else None,
        compacted=compacted,
        tombstones=limit("delete.retention.ms") if compacted else None,
    )


class LastOfKeys:
    """Where the last record of each key is, by partition: on the disk, as a log may have many keys."""

    def __init__(self) -> None:
        """Begin without a record. The file has no name, and is gone once it is closed, or after a kill."""
        self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._file.execute(
            "CREATE TABLE last (partition INTEGER, key BLOB, at INTEGER, PRIMARY KEY (partition, key))"
            " WITHOUT ROWID"
        )

    def fill(self, messages: Iterable[Any]) -> None:
        """Keep the place of each of `messages` of the library; those of a partition come in its order.

        Raises:
            Unverifiable: there is no room for them.
        """
        places = ((message.partition(), _short(message.key()), message.offset()) for message in messages)
        try:
            self._file.execute("BEGIN")
            self._file.executemany("INSERT OR REPLACE INTO last VALUES (?, ?, ?)", places)
            self._file.execute("COMMIT")
        except sqlite3.Error as error:
            raise Unverifiable(
                what="keys of a compacted log",
                expected="room for them on this host",
                observed=str(error),
                source=gettempdir(),
                hint="make room there, or name another folder in the variable TMPDIR",
            ) from None

    def supersedes(self, message: Any) -> bool:  # noqa: ANN401 - a message of the library
        """Return whether a later record than `message` has its key."""
        place = message.partition(), _short(message.key())
        found = self._file.execute("SELECT at FROM last WHERE partition = ? AND key = ?", place).fetchone()
        return found is not None and int(found[0]) > message.offset()

    def close(self) -> None:
        """Remove what was kept."""
        self._file.close()


def _short(key: bytes | None) -> bytes:
    return b"" if key is None else blake2b(key, digest_size=16).digest()
