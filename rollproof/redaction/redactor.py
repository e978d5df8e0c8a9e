"""Removes secrets from texts: known ones in each form, and what has the shape of a token; scans files too."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path
from urllib.parse import quote, quote_plus

from ahocorasick import Automaton

from rollproof.errors import describe, reason_of
from rollproof.reading import open_regular
from rollproof.redaction.secret import known_secrets
from rollproof.redaction.shapes import replaced, shaped

# Shorter than this, a secret is a substring of ordinary words: redacting it would blank the report. A run of
# checks says in its header how many are too short; a command does not.
SHORTEST = 4
# A line of a multi-line secret counts as a secret if it is this long, and so no ordinary word.
SHORTEST_LINE = 8
# Fewer characters of base64 than this occur by chance in any binary file.
_SHORTEST_BASE64 = 8


def forms_of(secret: str) -> dict[str, str]:
    """Return the texts in which `secret` may stand, each with its kind: plain, escaped or base64.

    Escaped is as in JSON, Python, HTML or a URL, and once more as in JSON or HTML around that. In base64 it
    may begin at any byte of a longer text: what it shares with its neighbours is left out.

    >>> [form for form, kind in forms_of("a/b&c").items() if kind != "base64"]
    ['a/b&c', 'a%2Fb%26c', 'a/b%26c', 'a/b&amp;c']
    """
    written = (json.dumps(secret), json.dumps(secret, ensure_ascii=False), repr(secret), ascii(secret))
    # The last is how pytest writes parameters in the name of a check.
    quoted = [*(text[1:-1] for text in written), secret.encode("unicode_escape").decode()]
    data = secret.encode(errors="replace")
    escaped = [*quoted, quote(data, safe=""), quote(data), quote_plus(data)]
    escaped += [again for form in (secret, *quoted) for again in (html.escape(form), json.dumps(form)[1:-1])]
    encoded = {form for text in (secret, *quoted) for form in _base64(text.encode(errors="replace"))}
    kinds = {form: "base64" for form in encoded if len(form) >= _SHORTEST_BASE64}
    return {secret: "plain"} | {form: "escaped" for form in escaped if form != secret} | kinds


def _base64(data: bytes) -> Iterator[str]:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            first, end = -(-shift * 8 // 6), (shift + len(data)) * 8 // 6
            yield encode(bytes(shift) + data).decode()[first:end]


class Redactor:
    """Replaces secrets. It knows the secrets from its creation, and those passed to `add` later.

    It also knows every secret that this process has read from a profile or was issued, at any time: see
    `rollproof.redaction.secret.remember`. `too_short` counts the secrets that cannot be redacted because they
    have fewer than `SHORTEST` characters.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.too_short = 0
        self._secrets: dict[str, None] = {}
        self._remembered = self._built = 0
        # All forms of all secrets, found in one pass over a text.
        self._forms = Automaton()
        for secret in secrets:
            self.add(secret)

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets)"

    def add(self, secret: str) -> None:
        """Redact `secret` too, from now on: a token that was issued during the run, for example."""
        secret = secret.strip()
        if len(secret) < SHORTEST:
            self.too_short += bool(secret)
            return
        # A printer indents lines, so each line of a multi-line secret (a private key) is its own secret.
        lines = (line.strip() for line in secret.splitlines())
        self._secrets |= dict.fromkeys([secret, *(line for line in lines if len(line) >= SHORTEST_LINE)])

    def known(self) -> tuple[str, ...]:
        """Return the plain secrets; only for another process of the same run."""
        remembered = known_secrets()
        for secret in remembered[self._remembered :]:
            self.add(secret)
        self._remembered = len(remembered)
        return tuple(self._secrets)

    def text(self, text: str) -> str:
        """Return `text` without secrets."""
        return replaced(text, [(start, end) for start, end, _ in (*self._found(text), *shaped(text))])

    def data(self, data: bytes) -> bytes:
        """Return `data` without secrets; bytes that are no text stay unchanged."""
        return self.text(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def scan(self, folder: Path) -> list[Leak]:
        """Return the places of secrets in the files under `folder`, or in the file `folder`."""
        return scan(folder, self._found)

    def wrong_in(self, places: Iterable[Path]) -> list[str]:
        """Return an error of two lines for each secret in files or folders, and for each unreadable file."""
        wrong: list[str] = []
        for place in places:
            try:
                wrong += [finding.problem for finding in self.scan(place)]
            except OSError as error:
                wrong.append(not_scanned(place, error))
        return wrong

    def _found(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Yield beginning, end and kind of each form of a known secret in `text`; they may overlap."""
        secrets = self.known()
        if self._built != len(secrets):
            self._built, self._forms = len(secrets), Automaton()
            for form, kind in {form: kind for one in secrets for form, kind in forms_of(one).items()}.items():
                self._forms.add_word(form, (len(form), kind))
            self._forms.make_automaton()
        if self._forms:
            for last, (length, kind) in self._forms.iter(text):
                yield last + 1 - length, last + 1, kind


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
