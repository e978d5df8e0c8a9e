"""The journal of an incident, as it is written: each record is on the disk before the next action."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rollproof.errors import ActionFailed
from rollproof.incident.journal import FIRST, JournalEvent, JournalLine, hash_of, out_of_reach, verify_journal
from rollproof.system.clock import Moment
from rollproof.system.command import Ran
from rollproof.system.files import append_line
from rollproof.system.record_files import as_json

Detail = str | float | Sequence[str] | Mapping[str, object] | None
"""What a record says by a name; see `JournalLine`."""


class Journal:
    """Writes the journal of one incident; usable from threads, but not from two processes: see `lock`."""

    def __init__(self, path: Path, redact: Callable[[str], str]) -> None:
        """Continue the journal at `path`; every text goes through `redact` before it is written."""
        self.path = path
        self._redact = redact
        self._lock = threading.Lock()
        self._read()

    def _read(self) -> None:
        records = verify_journal(self.path)
        self._previous = records[-1]["hash"] if records else FIRST
        self._sequence = len(records)
        self._unsure = False

    def write(self, event: str, **details: Detail) -> int:
        """Append one record; it is on the disk when this returns. Return its number."""
        with self._lock:
            if self._unsure:
                self._read()
            line = JournalLine(self._sequence, Moment.now(), event, self._previous)
            record = {**as_json(line), **{name: self._written(value) for name, value in details.items()}}
            record["hash"] = hash_of(record)
            # Where the disk fails, the line may exist all the same.
            self._unsure = True
            try:
                append_line(self.path, record)
            except OSError as error:
                raise out_of_reach(self.path, "written", error) from None
            self._previous, self._sequence, self._unsure = record["hash"], self._sequence + 1, False
            return int(record["sequence"])

    def _written(self, value: object) -> object:
        match value:
            case str():
                return self._redact(value)
            case Mapping():
                return {name: self._written(one) for name, one in value.items()}
            case Sequence():
                return [self._written(one) for one in value]
            case _:
                return value

    def ran(self, ran: Ran) -> None:
        """Record that a program runs, or that it ran: its command, exit code and output."""
        if ran.seconds or ran.code is not None:
            seconds = round(ran.seconds, 3)
            output = self._redact(ran.output)
            self.write(JournalEvent.RAN, command=ran.command, code=ran.code, output=output, seconds=seconds)
        else:
            self.write(JournalEvent.RUNS, command=ran.command)

    @contextmanager
    def step(self, name: str, **details: Detail) -> Iterator[dict[str, str | float]]:
        """Write `started` before the body, `ended` or `failed` after it; the body may add to the result.

        `name` is for people. `id` and `of` among the `details` identify the step, in both records.
        """
        started = Moment.now()
        began = self.write(JournalEvent.STARTED, step=name, **details)
        known = {key: value for key, value in details.items() if key in {"id", "of"}}
        same: dict[str, Any] = {"step": name, **known, "began": began}
        result: dict[str, str | float] = {}
        try:
            yield result
        except BaseException as error:
            seconds = round(Moment.now().seconds_since(started), 3)
            try:
                self.write(
                    JournalEvent.FAILED,
                    **same,
                    seconds=seconds,
                    error=f"{type(error).__name__}: {error}",
                )
            except ActionFailed as unwritten:
                # The first failure matters; the step around it may have noted the same.
                if str(unwritten) not in [str(error), *getattr(error, "__notes__", [])]:
                    error.add_note(str(unwritten))
            raise
        seconds = round(Moment.now().seconds_since(started), 3)
        self.write(JournalEvent.ENDED, **same, seconds=seconds, **result)
