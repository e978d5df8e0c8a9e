"""Allure's results as they lie in an incident's folder, one a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rollproof.reading import read_regular

NODE_ID = "nodeId"
"""The label that names the check."""
# Errors that reading raises for results that are torn, damaged, or of another program.
_OTHER_SHAPE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, StopIteration)


@dataclass(frozen=True, slots=True)
class RecordedResult:
    """The result of `check` in the file `path`; `start` is in milliseconds since 1970."""

    check: str
    start: int
    path: Path


def recorded_results(folder: Path) -> Iterator[RecordedResult]:
    """Yield each result in `folder` that can be read, by the names of their files.

    One that is torn or unreadable does not count: its checksum says what is wrong with it.

    Raises:
        OSError: the folder cannot be listed.
    """
    for path in sorted(folder.glob("*-result.json")):
        try:
            record = json.loads(read_regular(path))
            check = next(label["value"] for label in record["labels"] if label["name"] == NODE_ID)
            found = RecordedResult(str(check), int(record["start"]), path)
        except (OSError, *_OTHER_SHAPE):
            continue
        yield found
