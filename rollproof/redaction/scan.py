"""The last scan of written files: secrets in a record's files, also inside base64.

A single-file report has its attachments as base64, and a secret in them may be escaped. So base64 is decoded,
and the result scanned too.
"""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, islice
from mmap import ACCESS_READ, mmap
from pathlib import Path

from rollproof.errors import describe, reason_of
from rollproof.reading import open_regular
from rollproof.redaction.shapes import shaped

MOST_FINDINGS = 10
# Limit for one stretch of a file; a short secret may be an ordinary word that occurs a million times.
_MOST_HITS = 100
# Shorter pieces of base64 are in every binary file, and the forms in base64 cover them.
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{24,}+")
# Digests: by far the largest part of base64 look-alikes.
_HEXADECIMAL = re.compile(rb"[0-9a-f]*|[0-9A-F]*")
_PLAIN = bytes.maketrans(b"-_", b"+/")
# A file is searched one stretch at a time, with an overlap into the next for the largest secret.
_STRETCH, _OVERLAP = 4 * 1024 * 1024, 256 * 1024

Known = Callable[[str], Iterator[tuple[int, str]]]
"""Yields the beginnings of known secrets in a text, with the kinds of their forms."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A secret's place in a file. `kind` names the form; the secret itself is never in here."""

    file: Path
    line: int
    offset: int
    kind: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} (byte {self.offset}, {self.kind})"

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

    Raises:
        OSError: a file cannot be read; an unscanned file may hold secrets.
    """
    files = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file())
    return [finding for file in files for finding in _scan_file(file, known)]


def _scan_file(file: Path, known: Known) -> list[Leak]:
    if not file.stat().st_size:
        return []
    # A page is not searched for shapes: its programs contain examples of every shape.
    shapes = file.suffix != ".html"
    # Mapped, not read: an incident may hold a large file.
    with open_regular(file) as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as data:
        found = {**_in_base64(data, known, shapes=shapes), **_secrets_in(data, known, shapes=shapes)}
        return [
            Leak(file=file, line=data[:offset].count(b"\n") + 1, offset=offset, kind=found[offset])
            for offset in sorted(found)[:MOST_FINDINGS]
        ]


def _secrets_in(data: mmap | bytes, known: Known, *, shapes: bool) -> dict[int, str]:
    """Return the kinds of the secrets in `data` by offset; of `shapes` too."""
    found: dict[int, str] = {}
    for start in range(0, len(data), _STRETCH):
        text = data[start : start + _STRETCH + _OVERLAP].decode("utf-8", "surrogateescape")
        sure = ((begin, kind) for begin, _, kind in (shaped(text) if shapes else ()) if kind)
        for begin, kind in (*islice(known(text), _MOST_HITS), *islice(sure, MOST_FINDINGS)):
            before = begin if text.isascii() else len(text[:begin].encode("utf-8", "surrogateescape"))
            found.setdefault(start + before, kind)
    return found


def _in_base64(data: mmap, known: Known, *, shapes: bool) -> dict[int, str]:
    """Return the kinds of the secrets inside base64 in `data`, by the offset of the base64."""
    pieces = [
        (match.start(), _decoded(match[0]))
        for match in _BASE64.finditer(data)
        if not _HEXADECIMAL.fullmatch(match[0])
    ]
    # All pieces at once: separate searches would take as long again.
    ends = list(accumulate(len(piece) + 1 for _, piece in pieces))
    found = _secrets_in(b"\n".join(piece for _, piece in pieces), known, shapes=shapes)
    return {pieces[bisect_right(ends, offset)][0]: f"{kind} in base64" for offset, kind in found.items()}


def _decoded(encoded: bytes) -> bytes:
    """Return the content of `encoded`, or nothing if it is no base64."""
    whole = encoded.translate(_PLAIN)
    if len(whole) % 4 == 1:
        # An adjacent letter belongs to something else.
        whole = whole[:-1]
    try:
        return base64.b64decode(whole + b"=" * (-len(whole) % 4))
    except binascii.Error:
        return b""
