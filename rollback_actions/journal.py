"""The journal of an incident: append-only, fsynced, each record chained to the one before by its hash.

An edited, reordered or removed record breaks the chain, and beside it ``journal.head`` has number and hash of
the last record, so that a journal that was cut short shows too. Records are JSON lines with `sequence`, `at`,
`event`, `previous` (the hash of the record before) and `hash` (SHA-256 of the record without it).
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fixtures.clock import Moment
from fixtures.command import Ran
from fixtures.errors import ActionFailed, Problem
from fixtures.files import append_line, canonical_json, sync_folder

_FIRST = "0" * 64
_ATTEMPTS = 3  # a head that is written just now may be read in part
_KEEP = "the journal was edited, cut or damaged: keep it; the next rollback in the incident begins another"


class JournalBroken(Problem):
    """A journal that is not what was written: edited, cut, or damaged by the end of the machine."""


class Journal:
    """Writes the journal of one incident; usable from threads, not from two processes: see `lock`."""

    def __init__(self, path: Path, redact: Callable[[str], str]) -> None:
        """Continue the journal at `path`; every text goes through `redact` before it is written.

        Raises:
            JournalBroken: the chain of what is there already is broken. `ActionFailed`: it cannot be read.
        """
        self.path = path
        self._redact = redact
        self._lock = threading.Lock()
        # Before the records: what another one adds between the two is seen at the first write.
        self._size = len(_whole_lines(path))
        records = verify_journal(path)
        self._previous = records[-1]["hash"] if records else _FIRST
        self._sequence = len(records)

    def write(self, event: str, **details: str | float | None) -> None:
        """Append one record; it is on the disk when this returns.

        Raises:
            ActionFailed: it could not be written, or another process writes the same journal.
        """
        with self._lock:
            record: dict[str, Any] = {
                "sequence": self._sequence,
                "at": Moment.now().record(),
                "event": event,
                "previous": self._previous,
                **{k: self._redact(v) if isinstance(v, str) else v for k, v in details.items()},
            }
            record["hash"] = _hash(record)
            try:
                self._append(record)
                # After the record: a kill between the two leaves a head that is a record behind.
                _write_head(self.path, record["sequence"], record["hash"])
            except OSError as error:
                raise _out_of_reach(self.path, "written", error) from None

    def _append(self, record: dict[str, Any]) -> None:
        if self._added():
            raise self._not_ours("other records after them")
        try:
            append_line(self.path, record)
        finally:
            # Also when the disk failed: then the line may be there all the same.
            added = self._added()
            if added.count(b"\n") == 1:
                self._size += len(added)
                self._previous = record["hash"]
                self._sequence += 1

    def _added(self) -> bytes:
        """Return the whole lines after the last one that this process has written or read."""
        if not self.path.exists() and not self._size:
            return b""
        with self.path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < self._size:
                raise self._not_ours("fewer")
            file.seek(self._size)
            return _whole(file.read())

    def _not_ours(self, observed: str) -> ActionFailed:
        return ActionFailed(
            what="journal",
            expected=f"{self._sequence} records, as this process has left it",
            observed=observed,
            source=str(self.path),
            hint="another process has taken over and writes it: see what it does (rollback status)",
        )

    def ran(self, ran: Ran) -> None:
        """Write down that a program runs, or that it ran: its command, exit code and output."""
        if ran.seconds or ran.code is not None:
            seconds = round(ran.seconds, 3)
            # Cut when no secret is in it any more: a part of one would not be known as such.
            output = self._redact(ran.output)[: ran.shown].strip()
            self.write("ran", command=ran.command, code=ran.code, output=output, seconds=seconds)
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
            try:
                self.write("failed", step=name, seconds=seconds, error=f"{type(error).__name__}: {error}")
            except ActionFailed as unwritten:
                # What failed first is what matters, and may be the same.
                if str(unwritten) not in [str(error), *getattr(error, "__notes__", [])]:
                    error.add_note(str(unwritten))
            raise
        seconds = round(Moment.now().seconds_since(started), 3)
        self.write("ended", step=name, seconds=seconds, **result)


def verify_journal(path: Path) -> list[dict[str, Any]]:
    """Return the records of a journal whose chain holds. It may be written meanwhile.

    Raises:
        JournalBroken: a record was edited, removed or reordered, or the journal was cut short or damaged.
        ActionFailed: it cannot be read.
    """
    records, broken = read_journal(path)
    if broken is not None:
        raise broken
    return records


def read_journal(path: Path) -> tuple[list[dict[str, Any]], JournalBroken | None]:
    """Return the records of a journal as far as its chain holds, and what is wrong with it.

    Raises:
        ActionFailed: it cannot be read.
    """
    for _ in range(_ATTEMPTS):
        # The head first: what is written meanwhile adds records to those that it knows of.
        head = _read_head(path)
        records, broken = _chain(path)
        broken = broken or _against_head(path, head, records)
        if broken is None or _read_head(path) == head:
            break
    return records, broken


def _chain(path: Path) -> tuple[list[dict[str, Any]], JournalBroken | None]:
    records: list[dict[str, Any]] = []
    previous = _FIRST
    for number, line in enumerate(_whole_lines(path).split(b"\n")[:-1]):
        try:
            record = json.loads(line)
            expected = _hash({key: value for key, value in record.items() if key != "hash"})
        except (ValueError, AttributeError, RecursionError):
            return records, _broken(path, number, "an object in JSON", f"{len(line)} bytes of something else")
        observed, before = record.get("hash"), record.get("previous")
        if before != previous or observed != expected or record.get("sequence") != number:
            return records, _broken(
                path,
                number,
                f"hash {expected[:16]} after {previous[:16]}",
                f"hash {str(observed)[:16]} after {str(before)[:16]}",
            )
        records.append(record)
        previous = expected
    return records, None


def _broken(path: Path, number: int, expected: str, observed: str) -> JournalBroken:
    return JournalBroken(
        what=f"record {number} of the journal",
        expected=expected,
        observed=observed,
        source=str(path),
        hint=_KEEP,
    )


def _against_head(
    path: Path, head: tuple[int, str] | None, records: list[dict[str, Any]]
) -> JournalBroken | None:
    """See that the last record that was known to be written is there."""
    # Only a kill between the first record and its head leaves a journal without one.
    sequence, last = head if head is not None else (-1, _FIRST)
    there = records[sequence]["hash"] if 0 <= sequence < len(records) else _FIRST
    if there == last and (sequence >= 0 or len(records) <= 1):
        return None
    return JournalBroken(
        what="journal",
        expected=f"{sequence + 1} records, or more, up to hash {last[:16]}",
        observed=f"{len(records)} records, hash {there[:16]} there",
        source=str(path),
        hint=_KEEP,
    )


def set_aside(path: Path) -> tuple[Path, str]:
    """Keep a journal that is broken, and its head, beside; return where, and its SHA-256.

    Raises:
        ActionFailed: it cannot be moved.
    """
    number = 1
    while _head(kept := path.with_stem(f"{path.stem}-broken-{number}")).exists() or kept.exists():
        number += 1
    try:
        # The journal first: after a kill between the two, the head alone still says that there was more.
        digest = "none"
        if path.exists():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            path.rename(kept)
        if _head(path).exists():
            _head(path).rename(_head(kept))
        sync_folder(path.parent)
    except OSError as error:
        raise _out_of_reach(path, "moved", error) from None
    return kept, digest


def _out_of_reach(path: Path, done: str, error: OSError) -> ActionFailed:
    return ActionFailed(
        what="journal",
        expected=f"a file that can be {done}",
        observed=error.strerror or type(error).__name__,
        source=str(path),
        hint="nothing is done without its record: make room there, or correct the permissions, then resume",
    )


def _whole_lines(path: Path) -> bytes:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise _out_of_reach(path, "read", error) from None
    return _whole(text)


def _whole(text: bytes) -> bytes:
    return text[: text.rfind(b"\n") + 1]


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
    except OSError as error:
        raise _out_of_reach(path, "read", error) from None


def _hash(record: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(record)).hexdigest()
