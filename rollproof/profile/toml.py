"""Reading TOML that may be anything: what is wrong with it is said in a line, with its place in the text."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from rollproof.errors import Wrong

LARGEST_BYTES = 1024 * 1024
"""The largest profile that is read: a larger file is something else."""
# Nobody writes deeper nesting, and reading it would overflow the stack.
_DEEPEST = 50
# Python reads no longer numbers.
_MOST_DIGITS = 4_300
_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
# Nobody writes more; reading makes a table of each part, so a key of 40 kB would take gigabytes.
_MOST_PARTS = 20
# Texts and comments, whose brackets do not count, and what parts of a key are between.
_BETWEEN_KEYS = frozenset("=,\n[]{}")
_TOKEN = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""|'''
    r"""'{3}.*?'{3}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#[^\n]*|[\[{]|[\]}]|[0-9_]{4300,}|[.=,\n]""",
    re.DOTALL,
)


def parsed(data: bytes) -> dict[str, Any]:
    """Return the tables of TOML.

    Raises:
        Wrong: it is no TOML, or nothing that a person would write; with its line.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Wrong("UTF-8 text", f"bytes that are not UTF-8 (at line {line})") from None
    if text.startswith(_MARK):
        raise Wrong("UTF-8 text without a byte-order mark", "a byte-order mark (at line 1, column 1)")
    _require_written_by_a_person(text)
    # An error at the very end would be said to be at the end of the document, not in its line.
    ended = text if text.endswith("\n") else f"{text}\n"
    try:
        found = tomllib.loads(ended)
    except tomllib.TOMLDecodeError as error:
        raise Wrong("valid TOML", str(error)) from None
    level: list[Any] = [found]
    for _ in range(_DEEPEST):
        values = (value for one in level for value in (one.values() if isinstance(one, dict) else one))
        level = [value for value in values if isinstance(value, dict | list)]
    if level:
        raise Wrong(f"tables nested {_DEEPEST} deep at most", "a key of more parts")
    return found


def _require_written_by_a_person(text: str) -> None:
    depth, parts = 0, 1
    for token in _TOKEN.finditer(text):
        first = token[0][0]
        depth += (first in "[{") - (first in "]}")
        if depth > _DEEPEST:
            raise Wrong(
                f"brackets nested {_DEEPEST} deep at most", f"more (at {_place(text, token.start())})"
            )
        if first in _BETWEEN_KEYS:
            parts = 1
        elif first == ".":
            parts += 1
            if parts > _MOST_PARTS:
                raise Wrong(
                    f"keys of {_MOST_PARTS} parts at most", f"more (at {_place(text, token.start())})"
                )
        if first.isdigit() or first == "_":
            digits = len(token[0].replace("_", ""))
            if digits > _MOST_DIGITS:
                raise Wrong("numbers", f"one of {digits:,} digits (at {_place(text, token.start())})")


def _place(text: str, at: int) -> str:
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"
