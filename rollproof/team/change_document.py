"""The change document, in Markdown: the expected changes, their impact, and the rollback plan."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollproof.errors import Mismatch, Unverifiable, reason_of
from rollproof.profile.profile import Target
from rollproof.reading import read_regular

LEAST_CHARACTERS = 20
LEAST_DIGITS = 12
LARGEST_BYTES = 1024 * 1024
_HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*)")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)\s*")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_DRESSING = " \t*_`:"  # characters that may surround a heading's words
# A line with this beginning is still to be written, whatever its rest.
_UNWRITTEN = re.compile(
    r"(?i)[\s>*+_`\[\]#-]*(?:to[ -]?do|tbd|tba|tbc|fixme|xxx+|n/a|lorem ipsum|placeholder|coming soon"
    r"|to be (?:done|defined|decided|determined|written|filled in|confirmed|announced)"
    r"|fill (?:this |me )?in|describe (?:here|the)|none yet)\b"
)
_BLANK = re.compile(r"\?{2,}|\.{3,}|…|<[^<>\n]*>|\{\{[^{}\n]*\}\}|\[[^\[\]\n]*\bhere\]")
_NO_WORDS = re.compile(r"[^\w]+")


@dataclass(frozen=True, slots=True)
class ChangeDocument:
    """The document at `path`, and the SHA-256 of its bytes."""

    path: Path
    text: str
    digest: str

    def names(self, commit: str) -> bool:
        """Return whether it names `commit`, by its full id or by at least `LEAST_DIGITS` of its digits."""
        found = re.findall(
            rf"(?i)(?<![0-9a-z])[0-9a-f]{{{LEAST_DIGITS},{len(commit)}}}(?![0-9a-z])", self.text
        )
        return any(commit.startswith(one.lower()) for one in found)

    def wrong_with(self, sections: Sequence[str]) -> list[str]:
        """Return the errors in `sections`, in words."""
        found = list(_sections(_COMMENT.sub("", self.text)))
        wrong = []
        for wanted in sections:
            texts = [_words(text) for heading, text in found if heading.casefold() == wanted.casefold()]
            said = max(texts, key=len, default="")
            if not texts:
                wrong.append(f"{wanted} is missing")
            elif len(said) < LEAST_CHARACTERS:
                wrong.append(f"{wanted} says no more than {said!r}" if said else f"{wanted} says nothing")
        return wrong


def read_document(target: Target) -> ChangeDocument:
    """Return the change document of `target`.

    Raises:
        Mismatch: it does not exist, or is empty. `Unverifiable`: it cannot be read.
    """
    path = target.premigration.team.document
    if path is None:
        raise _nothing("no file that the profile names", "premigration.team.document in the profile")
    try:
        content = read_regular(path, LARGEST_BYTES)
        text = content.decode()
    except (FileNotFoundError, NotADirectoryError):
        raise _nothing("no such file", str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from None
    if not text.strip():
        raise _nothing("an empty file", str(path))
    return ChangeDocument(path, text, hashlib.sha256(content).hexdigest())


def _unreadable(path: Path, error: OSError | UnicodeDecodeError) -> Unverifiable:
    return Unverifiable(
        what="change document",
        expected="a file of UTF-8 text that can be read",
        observed=reason_of(error),
        source=str(path),
        hint="correct its permissions or its encoding",
    )


def _nothing(observed: str, source: str) -> Mismatch:
    return Mismatch(
        what="change document",
        expected="what changes, what that may do, and how it is rolled back, in Markdown",
        observed=observed,
        source=source,
        hint="write it, and name it in the profile, before the team is told",
    )


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """Yield each heading with the text below it, down to the next heading of its level or a higher one."""
    lines = text.splitlines()
    headings = list(_headings(lines))
    marks = {number for first, last, _, _ in headings for number in range(first, last + 1)}
    for (_, last, _, name), end in zip(headings, _ends(headings, len(lines)), strict=True):
        below = range(last + 1, end)
        yield name, "\n".join(lines[number] for number in below if number not in marks)


def _ends(headings: Sequence[tuple[int, int, int, str]], whole: int) -> list[int]:
    """Return for each heading the line of the next one of its level or a higher one, else `whole`."""
    nearest: dict[int, int] = {}
    ends = []
    for first, _, level, _ in reversed(headings):
        ends.append(min((line for other, line in nearest.items() if other <= level), default=whole))
        nearest[level] = first
    return ends[::-1]


def _headings(lines: Sequence[str]) -> Iterator[tuple[int, int, int, str]]:
    """Yield each heading's first and last line, level and words, except headings in blocks of code."""
    fence = ""
    for number, line in enumerate(lines):
        marker = _FENCE.match(line)
        if marker and (not fence or marker[1].startswith(fence)):
            fence = "" if fence else marker[1]
        elif not fence and (heading := _HEADING.fullmatch(line)):
            name = _without_end(heading[2])
            yield number, number, len(heading[1]), name.strip(_DRESSING)
        elif not fence and number and (under := _UNDERLINE.fullmatch(line)):
            before = lines[number - 1]
            if before.strip() and not _HEADING.fullmatch(before):
                yield number - 1, number, 1 if under[1][0] == "=" else 2, before.strip(_DRESSING)


def _without_end(name: str) -> str:
    name = name.rstrip()
    # Looked for from the end: a search would try each of many marks.
    marks = len(name) - len(name.rstrip("#"))
    before = name[: len(name) - marks]
    return before if marks and (not before or before[-1].isspace()) else name


def _words(text: str) -> str:
    """Return the words of a text, without unwritten lines and lines of marks alone."""
    kept = [_BLANK.sub(" ", line) for line in text.splitlines() if not _UNWRITTEN.match(line)]
    said = [" ".join(line.split()) for line in kept if _NO_WORDS.sub("", line)]
    return " ".join(said)
