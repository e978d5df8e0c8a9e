"""Reading an incident's journal: each record is chained to the one before by its hash.

An edited, reordered or removed record breaks the chain. That nothing was cut off at its end is for the seal
to say. Records are JSON lines with `sequence`, `at`, `event`, `previous` (the hash of the record before) and
`hash` (SHA-256 of the record without it). A torn last line is left out; the next writer removes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from rollproof.errors import ActionFailed, Problem
from rollproof.reading import read_regular
from rollproof.system.clock import Moment
from rollproof.system.files import canonical_json, complete_lines
from rollproof.system.record_files import LEFT_OUT, Natural, parse_record, record_of

DETECTED = "detected"
"""The event of the contacts' journal by which their clock begins."""
FIRST = "0" * 64
Event = TypeVar("Event")


class JournalEvent(StrEnum):
    """What any journal may hold; other events belong to one kind of journal, and are named where it is read.

    Stored in records, so it never changes.
    """

    TOOK_OVER = "took over"
    NOTED = "noted"
    STARTED = "started"
    ENDED = "ended"
    FAILED = "failed"
    RUNS = "runs"
    RAN = "ran"


@dataclass(frozen=True, slots=True)
class JournalLine:
    """The fields of every record of a journal. The details of its event stand beside them, by name.

    A detail is a text, a number, true, false, null or a list of texts. `findings` and `first_bad` of a
    response's assessment are objects, and so are the `minutes` of the contacts' clock.

    `previous` is the hash of the record before, 64 zeros in the first. `hash` is the SHA-256 of the record
    without it, in its canonical spelling.
    """

    sequence: Natural
    at: Moment
    event: str
    previous: str
    hash: str = field(default="", metadata=LEFT_OUT)
    findings: Mapping[str, Any] | None = field(default=None, metadata=LEFT_OUT)
    first_bad: Moment | None = field(default=None, metadata=LEFT_OUT)
    minutes: Mapping[str, float] | None = field(default=None, metadata=LEFT_OUT)


class JournalBroken(Problem):
    """A journal that differs from the written one: edited, or damaged by the machine's crash."""


def verify_journal(path: Path) -> list[dict[str, Any]]:
    """Return the records of a journal whose chain holds. Another process may be writing it."""
    records, broken = read_journal(path)
    if broken is not None:
        raise broken
    return records


def read_journal(path: Path) -> tuple[list[dict[str, Any]], JournalBroken | None]:
    """Return a journal's records as far as its chain holds, and the error where it breaks, or None."""
    try:
        content = complete_lines(read_regular(path))
    except FileNotFoundError:
        return [], None
    except OSError as error:
        raise out_of_reach(path, "read", error) from None
    records: list[dict[str, Any]] = []
    previous = FIRST
    for number, line in enumerate(content.split(b"\n")[:-1]):
        try:
            record = parse_record(dict[str, Any], line)
            record_of(JournalLine, record, more=True)
            expected = hash_of({key: value for key, value in record.items() if key != "hash"})
        except ValueError as error:
            return records, _broken(path, f"record {number}", "a record of a journal", str(error))
        found = (record.get("hash", ""), record["previous"], record["sequence"])
        if found != (expected, previous, number):
            wanted = f"hash {expected[:16]} after {previous[:16]}"
            instead = f"hash {found[0][:16]} after {found[1][:16]}"
            return records, _broken(path, f"record {number}", wanted, instead)
        records.append(record)
        previous = expected
    return records, None


def records_of(kind: type[Event], event: str, records: Iterable[Mapping[str, Any]]) -> tuple[Event, ...]:
    """Return those of a journal's `records` that are of `event`; raises `WrongRecord` for another shape."""
    return tuple(record_of(kind, one, more=True) for one in records if one["event"] == event)


@contextmanager
def well_formed(path: Path) -> Iterator[None]:
    """Raise `JournalBroken` when the body meets a record without the fields of its event."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        found = f"{type(error).__name__}: {error}"
        raise _broken(path, "some record", "the fields of its event", found) from None


def _broken(path: Path, which: str, expected: str, observed: str) -> JournalBroken:
    return JournalBroken(
        what=f"{which} of the journal",
        expected=expected,
        observed=observed,
        source=str(path),
        hint=f"put it back from a copy; or go on in a new one, without a verdict: mv {path} {path}.damaged",
    )


def out_of_reach(path: Path, done: str, error: OSError) -> ActionFailed:
    """Return the error for a journal that could not be `done`: read, written, moved."""
    return ActionFailed.of_file(
        path,
        error,
        what="journal",
        expected=f"a file that can be {done}",
        hint="every step needs its record: make room there, or correct the permissions, then resume",
    )


def hash_of(record: dict[str, Any]) -> str:
    """Return the hash of a record without `hash`."""
    return hashlib.sha256(canonical_json(record)).hexdigest()
