"""Removes secrets from texts: every known secret in every spelling, and every text in the shape of a token.

A known secret is replaced wherever it occurs: URL-quoted, escaped as JSON, Python, HTML or for a shell.
It is also found inside base64 at any alignment (``Authorization: Basic``), and when a printer cut it short.
Undeclared tokens and passwords are caught by their shape, personal data by the names of its fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from rollproof.redaction.personal import Personal
from rollproof.redaction.scan import Finding, not_scanned, scan
from rollproof.redaction.secret import known_secrets
from rollproof.redaction.shapes import MARKER, in_small_letters, looks_secret, replaced
from rollproof.redaction.spellings import spellings
from rollproof.redaction.words import Words

# Shorter than this, a secret is a substring of ordinary words: redacting it would blank the report.
SHORTEST = 4
# A line of a multi-line secret counts as a secret if it is this long, and so no ordinary word.
SHORTEST_LINE = 8
# Printers such as pytest's cut long values in the middle: a start or an end of this length is redacted too.
FRAGMENT = 12
# Below this, a fragment would be most of the secret anyway, and is more likely an ordinary word.
SHORTEST_WITH_FRAGMENTS = 2 * FRAGMENT
# Minimum rest of a shorter secret next to the mark of a cut.
SHORTEST_REST = 4
SHORTEST_CUT = 2 * SHORTEST_REST
# Spellings that change every letter.
_ENCODED = frozenset({"base64", "hexadecimal"})
# Marks of a cut by a printer, or by this suite: the cut is before or after the mark.
_CUTS = ("...", "\N{HORIZONTAL ELLIPSIS}", "\n[cut", "left out]\n")
_LONGEST_REST = 256


class Redactor:
    """Replaces secrets. It knows the secrets from its creation, and those passed to `add` later.

    It also knows every secret that this process has read from a profile or was issued, at any time: see
    `rollproof.redaction.secret.remember`. It shows pseudonyms for `personal` data. `too_short` counts the
    secrets that cannot be redacted because they have fewer than `SHORTEST` characters.
    """

    def __init__(self, secrets: Iterable[str] = (), personal: Personal | None = None) -> None:
        self.too_short = 0
        self.personal = personal
        self._secrets: dict[str, _Known] = {}
        # Every form and every fragment of the secrets; rebuilt when there are more.
        self._forms: set[str] = set()
        self._words = Words[str](())
        self._in_files: Words[str] | None = None
        # Every substring of `SHORTEST_REST` characters in them.
        self._grams: set[str] = set()
        self._remembered = 0
        self._built = 0
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
        lines = [line.strip() for line in secret.splitlines() if len(line.strip()) >= SHORTEST_LINE]
        for part in (secret, *lines):
            if part not in self._secrets:
                known = self._secrets[part] = _Known.of(part)
                for form in known.cut:
                    self._grams.update(form[at : at + SHORTEST_REST] for at in range(len(form)))

    def known(self) -> tuple[str, ...]:
        """Return the plain secrets; only for another process of the same run."""
        self._learn()
        return tuple(self._secrets)

    def text(self, text: str) -> str:
        """Return `text` without secrets."""
        self._learn()
        there = self._words.values(text)
        if there:
            # Longest first: a secret that contains another must not leave its rest behind.
            for form in sorted(there & self._forms, key=len, reverse=True):
                text = text.replace(form, MARKER)
            for known in self._secrets.values():
                for fragment, wholes in known.fragments.items():
                    if fragment.text in there:
                        text = fragment.replace(text, wholes)
        text = self._without_rests(text)
        small = in_small_letters(text)
        spans = dict(self.personal.spans(text, small)) if self.personal is not None else {}
        return replaced(text, spans | dict.fromkeys(looks_secret(text, small), MARKER))

    def _without_rests(self, text: str) -> str:
        """Return `text` without the rest of a secret at a cut, which no search for the whole finds."""
        spans: dict[tuple[int, int], str] = {}
        for end, start in _cuts_in(text):
            # For nearly every cut this is the only test.
            if text[max(0, end - SHORTEST_REST) : end] in self._grams:
                left = max(_rest(text[max(0, end - _LONGEST_REST) : end], form) for form in self._cut())
                spans |= {(end - left, end): MARKER} if left else {}
            if text[start : start + SHORTEST_REST] in self._grams:
                after = text[start : start + _LONGEST_REST][::-1]
                left = max(_rest(after, form[::-1]) for form in self._cut())
                spans |= {(start, start + left): MARKER} if left else {}
        return replaced(text, spans)

    def _cut(self) -> Iterator[str]:
        return (form for known in self._secrets.values() for form in known.cut)

    def data(self, data: bytes) -> bytes:
        """Return `data` without secrets; bytes that are no text stay unchanged."""
        return self.text(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def scan(self, folder: Path) -> list[Finding]:
        """Return the places of secrets in the files under `folder`, or in the file `folder`.

        Raises:
            OSError: a file cannot be read; an unscanned file may hold secrets.
        """
        self._learn()
        if self._in_files is None:
            forms = ((form.encode().decode("latin-1"), kind) for form, kind in self._wanted().items())
            self._in_files = Words(forms)
        return scan(folder, self._in_files)

    def wrong_in(self, places: Iterable[Path]) -> list[str]:
        """Return an error of two lines for each secret in files or folders, and for each unreadable file."""
        wrong: list[str] = []
        for place in places:
            try:
                wrong += [finding.problem for finding in self.scan(place)]
            except OSError as error:
                wrong.append(not_scanned(place, error))
        return wrong

    def _learn(self) -> None:
        remembered = known_secrets()
        for secret in remembered[self._remembered :]:
            self.add(secret)
        self._remembered = len(remembered)
        count = len(self._secrets)
        if self._built != count:
            wanted = self._wanted()
            self._forms = {form for known in tuple(self._secrets.values()) for form in known.forms}
            self._words, self._in_files = Words((form, form) for form in wanted), None
            self._built = count

    def _wanted(self) -> dict[str, str]:
        """Return every form and fragment with the name of its spelling."""
        wanted: dict[str, str] = {}
        secrets = tuple(self._secrets.values())
        for known in secrets:
            for form, kind in known.forms.items():
                wanted.setdefault(form, kind)
        for known in secrets:
            for fragment in known.fragments:
                wanted.setdefault(fragment.text, "part")
        return wanted


@dataclass(frozen=True, slots=True)
class _Known:
    """One secret in all of its forms, with the name of each spelling.

    At a cut in a text, a part of each form in `cut` is searched for.
    """

    forms: dict[str, str]
    cut: tuple[str, ...]
    fragments: dict[_Fragment, set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, secret: str) -> _Known:
        """Return the forms and fragments of `secret`."""
        forms: dict[str, str] = {}
        for form, kind in spellings(secret):
            forms.setdefault(form, kind)
        cut = tuple(
            form for form, kind in forms.items() if kind not in _ENCODED and len(form) >= SHORTEST_CUT
        )
        known = cls(forms, cut)
        for form, kind in forms.items():
            for fragment in _fragments(form) if kind not in _ENCODED else ():
                known.fragments.setdefault(fragment, set()).add(form)
        return known


@dataclass(frozen=True, slots=True)
class _Fragment:
    """The start or the end of a secret, which reveals it where a printer left the rest out."""

    text: str
    start: bool

    def replace(self, text: str, wholes: Iterable[str]) -> str:
        """Replace the fragment in `text`, with the adjoining characters that continue one of `wholes`."""
        size = len(self.text)
        rests = [whole[size:] if self.start else whole[:-size] for whole in wholes]
        pieces: list[str] = []
        at = 0
        while (found := text.find(self.text, at)) >= 0:
            end = found + size
            if self.start:
                end += max(_common(text[end : end + len(rest)], rest) for rest in rests)
            else:
                found -= max(
                    _common(reversed(text[max(at, found - len(rest)) : found]), reversed(rest))
                    for rest in rests
                )
            pieces += [text[at:found], MARKER]
            at = end
        return "".join([*pieces, text[at:]])


def _fragments(form: str) -> Iterator[_Fragment]:
    if len(form) >= SHORTEST_WITH_FRAGMENTS:
        for fragment in (_Fragment(form[:FRAGMENT], start=True), _Fragment(form[-FRAGMENT:], start=False)):
            # A token's start, not an ordinary word, which must stay readable where it stands alone.
            if sum(character.isupper() or character.isdigit() for character in fragment.text[1:]) > 1:
                yield fragment


def _cuts_in(text: str) -> Iterator[tuple[int, int]]:
    """Yield the beginning and the end of each mark of a cut in `text`."""
    for mark in _CUTS:
        at = text.find(mark)
        while at >= 0:
            yield at, at + len(mark)
            at = text.find(mark, at + len(mark))


def _rest(before: str, form: str) -> int:
    """Return the number of first characters of `form` at the end of `before`, or 0 if too few."""
    if form[:SHORTEST_REST] not in before:
        return 0
    most = min(len(form) - 1, len(before))
    return next((n for n in range(most, SHORTEST_REST - 1, -1) if before.endswith(form[:n])), 0)


def _common(one: Iterable[str], other: Iterable[str]) -> int:
    """Return the length of the common beginning of `one` and `other`."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
