"""The last scan of written files: secrets in a record's files, also inside base64.

A single-file report has its attachments as base64. A secret in another spelling, such as escaped JSON, has no
spelling of its own in base64. So base64 is decoded, and the result scanned too.
"""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path

from rollproof.errors import describe, reason_of
from rollproof.reading import open_regular
from rollproof.redaction.shapes import in_small_letters, surely_secret
from rollproof.redaction.words import Words

MOST_FINDINGS = 10
# Limit for one stretch of a file; a short secret may be an ordinary word that occurs a million times.
_MOST_HITS = 1000
# An attachment in an attachment in a report.
DEEPEST = 3
# Shorter pieces of base64 are in every binary file, and the spellings in base64 cover them.
# Its lines may be broken, as in mail. Looking ahead first, and giving nothing back, costs a tenth: most of a
# text is shorter words, each of which would be tried from every letter on.
_BASE64 = re.compile(
    rb"(?=[A-Za-z0-9+/_-]{24})"
    rb"(?:[A-Za-z0-9+/_-]{60,}+(?:\\r)?(?:\\n|\r?\n)[ \t]*)*[A-Za-z0-9+/_-]{24,}+={0,2}"
)
# Digests: by far the largest part of base64 look-alikes.
_HEXADECIMAL = re.compile(rb"[0-9a-f]*|[0-9A-F]*")
_BETWEEN = b"\n\n"
_BROKEN = re.compile(rb"\\[nr]|\s")
_PLAIN = bytes.maketrans(b"-_", b"+/")
# A program embedded in a page has addresses and keys as examples.
_PROGRAM = re.compile(rb"(?:text|application)/(?:javascript|css);base64,$")
_BEFORE = 40
# A shape is searched for in one stretch of a file at a time, with an overlap into the next.
_STRETCH, _OVERLAP = 4 * 1024 * 1024, 32 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """A secret's place in a file. `kind` names the spelling; the secret itself is never in here."""

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


def scan(place: Path, wanted: Words[str]) -> list[Finding]:
    """Return the places of `wanted` words and almost certain secrets in `place` or the files below it.

    At most the first `MOST_FINDINGS` of each file. Secrets in compressed or encrypted data are not found.

    Args:
        place: A folder or a file.
        wanted: The words to search for, each byte as one character, with the names of their spellings.

    Raises:
        OSError: a file cannot be read; an unscanned file may hold secrets.
    """
    files = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file())
    return [finding for file in files for finding in _scan_file(file, wanted)]


def _scan_file(file: Path, wanted: Words[str]) -> list[Finding]:
    if not file.stat().st_size:
        return []
    # Mapped, not read: an incident may hold a large file.
    with open_regular(file) as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as data:
        found = _secrets_in(data, wanted, page=file.suffix == ".html")
        return [
            Finding(file=file, line=data[:offset].count(b"\n") + 1, offset=offset, kind=found[offset])
            for offset in sorted(found)[:MOST_FINDINGS]
        ]


def _secrets_in(data: mmap | bytes, wanted: Words[str], *, page: bool, deep: int = 0) -> dict[int, str]:
    """Return the kinds of the first secrets in `data` by offset; in base64, by the beginning of the base64.

    A `page` is not searched for shapes: its programs contain examples of every shape.
    """
    found: dict[int, str] = {}
    for start, text in _stretches(data, max(_OVERLAP, wanted.longest)):
        # If several begin at one place, the longest, which ends last, gives the kind.
        for begin, kind in islice(wanted.found(text), _MOST_HITS):
            found[start + begin] = kind
        shaped = () if page else surely_secret(text, in_small_letters(text))
        for begin, kind in islice(shaped, MOST_FINDINGS):
            found.setdefault(start + begin, kind)
    if deep < DEEPEST:
        for within in _decoded_in(data):
            inner = _secrets_in(within.whole, wanted, page=within.program, deep=deep + 1)
            for offset, kind in inner.items():
                found.setdefault(within.origin(offset), f"{kind} in base64")
    return found


class _Decoded:
    """The content of several pieces of base64, joined: separate searches would take as long again."""

    def __init__(self, *, program: bool) -> None:
        self.program = program
        self._pieces: list[bytes] = []
        self._starts: list[int] = []
        self._origins: list[int] = []
        self._length = 0

    def add(self, piece: bytes, origin: int) -> None:
        """Add a `piece` whose base64 begins at `origin`."""
        self._pieces.append(piece)
        self._starts.append(self._length)
        self._origins.append(origin)
        self._length += len(piece) + len(_BETWEEN)

    @property
    def whole(self) -> bytes:
        """All pieces, joined."""
        return _BETWEEN.join(self._pieces)

    def origin(self, offset: int) -> int:
        """Return the beginning of the base64 whose content is at `offset` of the whole."""
        return self._origins[bisect_right(self._starts, offset) - 1]


def _decoded_in(data: mmap | bytes) -> tuple[_Decoded, _Decoded]:
    """Return the content of base64 in `data`: ordinary content, and programs that a page embeds."""
    ordinary, programs = _Decoded(program=False), _Decoded(program=True)
    for match in _BASE64.finditer(data):
        if _HEXADECIMAL.fullmatch(match[0]):
            continue
        piece = _decoded(match[0])
        if piece is not None:
            before = data[max(0, match.start() - _BEFORE) : match.start()]
            (programs if _PROGRAM.search(before) else ordinary).add(piece, match.start())
    return ordinary, programs


def _stretches(data: mmap | bytes, overlap: int) -> Iterator[tuple[int, str]]:
    """Yield stretches of `data`, one character a byte so that places are offsets, with their beginnings."""
    for start in range(0, len(data), _STRETCH):
        yield start, data[start : start + _STRETCH + overlap].decode("latin-1")


def _decoded(encoded: bytes) -> bytes | None:
    """Return the content of `encoded`, or None if it is no base64."""
    whole = _BROKEN.sub(b"", encoded) if b"\n" in encoded or b"\\" in encoded else encoded
    whole = whole.translate(_PLAIN).rstrip(b"=")
    if len(whole) % 4 == 1:
        # An adjacent letter belongs to something else.
        whole = whole[:-1]
    try:
        return base64.b64decode(whole + b"=" * (-len(whole) % 4))
    except binascii.Error:
        return None
