"""Removes secrets from texts: known secrets in each of their forms, and texts in the shape of a token.

A known secret is found as it is, escaped as JSON, Python, HTML or in a URL, and in base64 at any alignment
(``Authorization: Basic``). Where a printer has cut a text, the rest of a known secret is found too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from rollproof.redaction.forms import base64_of, pattern_of, words_of
from rollproof.redaction.personal import Personal
from rollproof.redaction.scan import Leak, not_scanned, scan
from rollproof.redaction.secret import known_secrets
from rollproof.redaction.shapes import MARKER, replaced, shaped
from rollproof.redaction.words import Words

# Shorter than this, a secret is a substring of ordinary words: redacting it would blank the report.
SHORTEST = 4
# A line of a multi-line secret counts as a secret if it is this long, and so no ordinary word.
SHORTEST_LINE = 8
# The least rest of a secret that is replaced at a cut.
_REST = 6
# Marks of a cut, by pytest and by this suite: the rest of a secret may be before or after one.
_CUTS = ("...", "\N{HORIZONTAL ELLIPSIS}", "\n[cut", "left out]\n")


class Redactor:
    """Replaces secrets. It knows the secrets from its creation, and those passed to `add` later.

    It also knows every secret that this process has read from a profile or was issued, at any time: see
    `rollproof.redaction.secret.remember`. It shows pseudonyms for `personal` data. `too_short` counts the
    secrets that cannot be redacted because they have fewer than `SHORTEST` characters.
    """

    def __init__(self, secrets: Iterable[str] = (), personal: Personal | None = None) -> None:
        self.too_short = 0
        self.personal = personal
        self._secrets: dict[str, None] = {}
        self._remembered = 0
        # Secrets by the words of their forms, and forms by their starts and ends.
        self._words = Words[tuple[str, ...]](())
        self._wordless: set[str] = set()
        self._rests = Words[tuple[str, ...]](())
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
        lines = (line.strip() for line in secret.splitlines())
        self._secrets |= dict.fromkeys([secret, *(line for line in lines if len(line) >= SHORTEST_LINE)])

    def known(self) -> tuple[str, ...]:
        """Return the plain secrets; only for another process of the same run."""
        self._learn()
        return tuple(self._secrets)

    def text(self, text: str) -> str:
        """Return `text` without secrets."""
        spans = dict(self.personal.spans(text)) if self.personal is not None else {}
        secret = [*self._spans(text), *((start, end) for start, end, _ in shaped(text))]
        return replaced(text, spans | dict.fromkeys(secret, MARKER))

    def data(self, data: bytes) -> bytes:
        """Return `data` without secrets; bytes that are no text stay unchanged."""
        return self.text(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def scan(self, folder: Path) -> list[Leak]:
        """Return the places of secrets in the files under `folder`, or in the file `folder`.

        Raises:
            OSError: a file cannot be read; an unscanned file may hold secrets.
        """
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

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the places of known secrets in `text`; spans may overlap."""
        self._learn()
        for secret in self._possible(text):
            yield from (match.span() for match in pattern_of(secret).finditer(text))
        if any(mark in text for mark in _CUTS):
            for at, forms in self._rests.found(text):
                for form in forms:
                    yield from _rest(text, at, form)

    def _found(self, text: str) -> Iterator[tuple[int, str]]:
        """Yield the beginnings of known secrets in `text`, with the kinds of their forms."""
        self._learn()
        for secret in self._possible(text):
            others = dict.fromkeys(base64_of(secret), "base64") | {secret: "plain"}
            for match in pattern_of(secret).finditer(text):
                yield match.start(), others.get(match[0], "escaped")

    def _possible(self, text: str) -> set[str]:
        """Return the secrets of which a word is in `text`."""
        return {secret for secrets in self._words.values(text) for secret in secrets} | self._wordless

    def _learn(self) -> None:
        remembered = known_secrets()
        for secret in remembered[self._remembered :]:
            self.add(secret)
        self._remembered = len(remembered)
        if self._built != len(self._secrets):
            words = [(word, secret) for secret in self._secrets for word in words_of(secret)]
            self._words = _by_word(words)
            self._wordless = {secret for word, secret in words if not word}
            forms = {form for secret in self._secrets for form in (secret, repr(secret)[1:-1])}
            ends = ((end, form) for form in forms for end in (form[:_REST], form[-_REST:]))
            self._rests = _by_word((end, form) for end, form in ends if len(form) > _REST)
            self._built = len(self._secrets)


def _by_word(pairs: Iterable[tuple[str, str]]) -> Words[tuple[str, ...]]:
    by_word: dict[str, tuple[str, ...]] = {}
    for word, value in pairs:
        by_word[word] = (*by_word.get(word, ()), value)
    return Words(by_word.items())


def _rest(text: str, at: int, form: str) -> Iterator[tuple[int, int]]:
    """Yield what a cut has left of `form`, whose first or last characters are at `at` of `text`."""
    end = at + _common(text[at : at + len(form)], form)
    if end >= at + _REST and text.startswith(_CUTS, end):
        yield at, end
    end = at + _REST
    before = text[max(0, end - len(form)) : end]
    begin = end - _common(before[::-1], form[::-1])
    if begin <= at and text.endswith(_CUTS, 0, begin):
        yield begin, end


def _common(one: str, other: str) -> int:
    """Return the length of the common beginning of `one` and `other`."""
    least = min(len(one), len(other))
    return next((at for at in range(least) if one[at] != other[at]), least)
