"""The last scan of written files: known secrets, and texts that can only be secrets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path

from rollproof.errors import describe, reason_of
from rollproof.reading import open_regular
from rollproof.redaction.shapes import shaped

MOST_FINDINGS = 10
# A file is searched one stretch at a time, with an overlap into the next for the largest secret.
_STRETCH, _OVERLAP = 4 * 1024 * 1024, 256 * 1024

Known = Callable[[str], Iterator[tuple[int, int, str]]]
"""Yields beginning, end and kind of known secrets in a text."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A secret's place in a file. `kind` names the form; the secret itself is never in here."""

    file: Path
    line: int
    offset: int
    kind: str

    @property
    def problem(self) -> str:
        """The finding as an error of two lines."""
        return describe(
            what="secret in the record",
            expected="none",
            observed=f"one ({self.kind}) at byte {self.offset}",
            source=f"{self.file}:{self.line}",
            hint="delete that file, replace the secret in the target, and report how it got there",
        )


def not_scanned(place: Path, error: OSError) -> str:
    """Return the error of two lines for an unreadable file: it may hold secrets."""
    return describe(
        what="scan for secrets",
        expected="files that can be read",
        observed=reason_of(error),
        source=str(error.filename or place),
        hint="correct its permissions, or take it out of the record, and run this again",
    )


def scan(place: Path, known: Known) -> list[Leak]:
    """Return the places of `known` and almost certain secrets in `place` or the files below it.

    At most the first `MOST_FINDINGS` of each file. Secrets in compressed or encrypted data are not found.
    """
    files = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file())
    return [finding for file in files for finding in _scan_file(file, known)]


def _scan_file(file: Path, known: Known) -> list[Leak]:
    if not file.stat().st_size:
        return []
    # Mapped, not read: an incident may hold a large file.
    with open_regular(file) as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as data:
        # A page is not searched for shapes: its programs contain examples of every shape.
        found = dict(islice(_secrets_in(data, known, shapes=file.suffix != ".html"), MOST_FINDINGS))
        return [
            Leak(file=file, line=data[:offset].count(b"\n") + 1, offset=offset, kind=kind)
            for offset, kind in sorted(found.items())
        ]


def _secrets_in(data: mmap, known: Known, *, shapes: bool) -> Iterator[tuple[int, str]]:
    """Yield offset and kind of the secrets in `data`, with those that only `shapes` show."""
    for start in range(0, len(data), _STRETCH):
        text = data[start : start + _STRETCH + _OVERLAP].decode("utf-8", "surrogateescape")
        sure = ((begin, end, kind) for begin, end, kind in (shaped(text) if shapes else ()) if kind)
        for begin, _, kind in (*islice(known(text), MOST_FINDINGS), *islice(sure, MOST_FINDINGS)):
            before = begin if text.isascii() else len(text[:begin].encode("utf-8", "surrogateescape"))
            yield start + before, kind
