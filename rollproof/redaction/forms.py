"""The forms in which a text may hold a secret: plain, in JSON, Python, HTML, a URL or base64."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import quote

# Fewer characters of base64 than this occur by chance in any binary file.
SHORTEST_BASE64 = 8


@lru_cache(maxsize=1024)
def pattern_of(secret: str) -> re.Pattern[str]:
    """Return the pattern of `secret` in each of its forms.

    Each character is found in any form that it can have, escaped up to three times. So a text may also mix
    forms: JSON inside of Python, for example.
    """
    return re.compile("|".join(["".join(map(_character, secret)), *map(re.escape, base64_of(secret))]))


def words_of(secret: str) -> tuple[str, ...]:
    """Return words of which a text has at least one if it holds `secret`; a word may be empty."""
    return max(re.findall("[A-Za-z0-9]+", secret), key=len, default=""), *base64_of(secret)


def base64_of(secret: str) -> frozenset[str]:
    """Return the base64 of `secret` inside a longer text, which shifts it, without what it shares with it."""
    return frozenset(
        form for form in _base64(secret.encode(errors="replace")) if len(form) >= SHORTEST_BASE64
    )


def _base64(data: bytes) -> Iterator[str]:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            first, end = -(-shift * 8 // 6), (shift + len(data)) * 8 // 6
            yield encode(bytes(shift) + data).decode()[first:end]


def _character(character: str) -> str:
    """Return the pattern of one character: `'` may also stand as `%27`, `%2527`, `&#x27;` or `&amp;#39;`."""
    if character.isascii() and character.isalnum():
        return character
    code = ord(character)
    data = character.encode(errors="replace")
    forms = {
        *(json.dumps(character)[1:-1], ascii(character)[1:-1], repr(data)[2:-1]),
        *(f"\\u{code:04x}", f"\\x{code:02x}"),
        *(html.escape(character), f"&#{code};", f"&#x{code:x};"),
        *(quote(data, safe=""), "+" if character == " " else ""),
    }
    patterns = [
        re.sub(r"(?:\\\\)+", r"\\\\{1,8}", re.escape(form))
        .replace("%", "%(?:25){0,3}")
        .replace(r"\&", r"\&(?:amp;){0,3}")
        for form in sorted(forms - {character, ""}, key=len, reverse=True)
    ]
    return rf"(?i:\\{{0,8}}(?:{'|'.join(patterns)}|{re.escape(character)}))"
