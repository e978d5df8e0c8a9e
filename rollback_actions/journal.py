"""The journal of an incident: append-only, fsynced, each record chained to the one before by its hash.

An edited, reordered or removed record breaks the chain, and beside it ``journal.head`` has number and hash of
the last record, so that a journal that was cut short shows too. Records are JSON lines with `sequence`, `at`,
`event`, `previous` (the hash of the record before) and `hash` (SHA-256 of the record without it).
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fixtures.clock import Moment
from fixtures.command import Ran
from fixtures.errors import Problem
from fixtures.files import append_line, canonical_json, read_lines

_FIRST = "0" * 64


class Journal:
    """Writes the journal of one incident; usable from threads, not from two processes: see `lock`."""

    def __init__(self, path: Path, redact: Callable[[str], str]) -> None:
        """Continue the journal at `path`; every text goes through `redact` before it is written.

        Raises:
            Problem: the chain of what is there already is broken.
        """
        self.path = path
        self._redact = redact
        self._lock = threading.Lock()
        records = verify_journal(path)
        self._previous = records[-1]["hash"] if records else _FIRST
        self._sequence = len(records)

    def write(self, event: str, **details: str | float | None) -> None:
        """Append one record; it is on the disk when this returns."""
        with self._lock:
            record: dict[str, Any] = {
                "sequence": self._sequence,
                "at": Moment.now().record(),
                "event": event,
                "previous": self._previous,
                **{k: self._redact(v) if isinstance(v, str) else v for k, v in details.items()},
            }
            record["hash"] = _hash(record)
            append_line(self.path, record)
            # After the record: a kill between the two leaves a head that is one record behind.
            _write_head(self.path, self._sequence, record["hash"])
            self._previous = record["hash"]
            self._sequence += 1

    def ran(self, ran: Ran) -> None:
        """Write down that a program runs, or that it ran: its command, exit code and output."""
        if ran.seconds or ran.code is not None:
            seconds = round(ran.seconds, 3)
            self.write("ran", command=ran.command, code=ran.code, output=ran.output, seconds=seconds)
        else:
            self.write("runs", command=ran.command)

    @contextmanager
    def step(self, name: str, **details: str | float | None) -> Iterator[dict[str, str | float]]:
        """Write `started` before the body, `ended` or `failed` after it; the body may add to the result."""
        started = Moment.now()
        self.write("started", step=name, **details)
        result: dict[str, str | float] = {}
        try:
            yield result
        except BaseException as error:
            seconds = round(Moment.now().seconds_since(started), 3)
            self.write("failed", step=name, seconds=seconds, error=f"{type(error).__name__}: {error}")
            raise
        seconds = round(Moment.now().seconds_since(started), 3)
        self.write("ended", step=name, seconds=seconds, **result)


def verify_journal(path: Path) -> list[dict[str, Any]]:
    """Return the records of a journal whose chain holds.

    Raises:
        Problem: a record was edited, removed or reordered, or the journal was cut short.
    """
    records = read_lines(path)
    previous = _FIRST
    for number, record in enumerate(records):
        observed = record.get("hash")
        expected = _hash({key: value for key, value in record.items() if key != "hash"})
        if record.get("previous") != previous or observed != expected or record.get("sequence") != number:
            raise Problem(
                what=f"record {number} of the journal",
                expected=f"hash {expected[:16]} after {previous[:16]}",
                observed=f"hash {str(observed)[:16]} after {str(record.get('previous'))[:16]}",
                source=str(path),
                hint="the journal was edited or cut; keep it, and continue in a new incident",
            )
        previous = expected
    _verify_head(path, records)
    return records


def _verify_head(path: Path, records: list[dict[str, Any]]) -> None:
    """See that the last record that was known to be written is there, and nothing but one more after it."""
    head = _read_head(path)
    # Only a kill between the first record and its head leaves a journal without one.
    sequence, last = head if head is not None else (-1, _FIRST)
    there = records[sequence]["hash"] if 0 <= sequence < len(records) else _FIRST
    if there == last and len(records) - 1 - sequence in {0, 1}:
        return
    raise Problem(
        what="journal",
        expected=f"{sequence + 1} records, or one more, up to hash {last[:16]}",
        observed=f"{len(records)} records, hash {there[:16]} there",
        source=str(path),
        hint="the journal was cut, or its head was; keep both, and continue in a new incident",
    )


def _head(path: Path) -> Path:
    return path.with_suffix(".head")


def _write_head(path: Path, sequence: int, digest: str) -> None:
    # One line of always the same length, written in one go: what is there is the old head or the new one.
    descriptor = os.open(_head(path), os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(descriptor, f"{sequence:012d} {digest}\n".encode(), 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_head(path: Path) -> tuple[int, str] | None:
    try:
        sequence, digest = _head(path).read_text(encoding="ascii").split()
        return int(sequence), digest
    except (FileNotFoundError, ValueError):
        return None


def _hash(record: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(record)).hexdigest()
