"""`journal-end.txt`: the journal's last records, one per line, for readers who have only the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reports.text.room import cut_to
from rollproof.errors import Problem
from rollproof.incident.journal import JournalEvent, read_journal
from rollproof.reading import read_regular
from rollproof.record_names import JOURNAL_END

RECORDS = 60
LONGEST = 400
_CHAIN = frozenset({"sequence", "at", "event", "previous", "hash"})


def journal_end(journal: Path) -> str | None:
    """Return the last records of `journal` as text, or None if there is no journal.

    The text says so if the journal's hash chain is broken, or the journal cannot be read.
    """
    if not journal.exists():
        return None
    try:
        records, broken = read_journal(journal)
    except Problem as problem:
        return f"{problem}\n"
    lines = [_line(record) for record in records[-RECORDS:]]
    if len(records) > RECORDS:
        lines.insert(0, f"[{len(records) - RECORDS} records before these are in {journal.name}]")
    if broken is not None:
        lines.append(f"[what follows cannot be trusted: {broken.summary}]")
    return "".join(f"{line}\n" for line in lines)


def missing_records(folder: Path, records: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield, in a sentence, the first record of `journal-end.txt` that `records` of the journal lack.

    Raises:
        OSError, UnicodeDecodeError: it cannot be read.
    """
    path = folder / JOURNAL_END
    if any(record.get("event") == JournalEvent.BEGUN_ANEW for record in records):
        return  # the page is of the one before, which is kept beside it
    there = read_regular(path).decode("utf-8", "surrogateescape").splitlines() if path.exists() else []
    kept = {str(record.get("sequence")): _line(record) for record in records}
    for line in there:
        number = line.partition(" ")[0]
        # A text that was redacted only here may differ; number, time and event cannot.
        if number.isdecimal() and _beginning(kept.get(number, "")) != _beginning(line):
            text = f"it has record {number} as {' '.join(_beginning(line))!a}, and the journal does not"
            yield f"{text}: the journal was truncated or rewritten"
            return


def _beginning(line: str) -> list[str]:
    """Return number, time and the first word of the event."""
    return line.split()[:3]


def _line(record: Mapping[str, Any]) -> str:
    """Return a record's line: number, time, event and its other fields."""
    at = record.get("at")
    wall = at.get("wall", "") if isinstance(at, Mapping) else ""
    rest = ", ".join(f"{name}: {_shown(value)}" for name, value in record.items() if name not in _CHAIN)
    text = f"{record.get('sequence')} {wall} {record.get('event')} {rest}"
    return cut_to(" ".join(text.split()), LONGEST)


def _shown(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
