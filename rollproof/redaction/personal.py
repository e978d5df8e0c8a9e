"""Personal data: the fields that hold it, and the pseudonyms that a report shows in its place.

A pseudonym is the start of a keyed hash. It distinguishes two people, and recurs in other reports of the same
target, but nobody can find the person without the secrets of the profile.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from fnmatch import fnmatchcase
from functools import cached_property

from rollproof.collection import Json
from rollproof.redaction.shapes import MARKER, Shape, Shapes

FIELDS = (
    *("email", "e_mail", "mail", "username", "user_name", "first_name", "last_name", "full_name"),
    *("phone", "phone_number", "mobile"),
    # Keys of sessions name their users, or are as good as their passwords.
    *("*/*token*.key", "*/*session*.key", "*/*user*.key"),
)
_MAILS = frozenset({"email", "e_mail", "mail"})
_ROUNDS = 100_000
_DIGITS = 8
_PSEUDONYM = re.compile(rf"~[0-9a-f]{{{_DIGITS}}}")
# A non-ASCII letter, as JSON and others escape it.
_LETTER = r"\\+(?:u(?!00[0-7])[0-9a-f]{4}|x(?![0-7])[0-9a-f]{2})"
_HOST = re.compile(r"@(?:[\w-]{1,63}+\.){1,127}[^\W\d_]{2,}+")
_MAILBOX = re.compile(rf"(?:[\w.%+-]|{_LETTER})+\Z", re.IGNORECASE)
_LONGEST_MAILBOX = 64
# Errors in which a server names a duplicate value.
_TWICE = (
    Shape("duplicate entry", re.compile(r"duplicate entry \\?'(?P<secret>[^'\\]+)", re.IGNORECASE)),
    Shape("dup key", re.compile(r"dup key:\s*+\{(?P<secret>[^{}]+)", re.IGNORECASE)),
)

# A value without quotes, as in logs. It ends where a sentence, a list, a tag or a query continues. What
# follows a pseudonym is no part of it: the value had ended there.
_WORD = r"""[^\s'"\\&;,(){}\[\]<>|\x00-\x1f]"""
_VALUE = rf"(?![=/]|{_PSEUDONYM.pattern}(?!\w))(?P<secret>(?:{_WORD}|{_LETTER}|(?<=\w)'(?=\w))+(?<![.:!?]))"
# A value in quotes. It ends with its opening quote, equally often escaped; other quotes may be inside it.
_QUOTED = (
    r"""(?P<escape>\\*)(?P<quote>['"])(?P<secret>(?:[^'"\\\r\n]"""
    rf"""|{_LETTER}|(?!(?P=escape)['"])\\+['"]|(?<=\w)(?!(?P=quote))['"](?=\w))+)"""
)
# Some loggers colour names and values.
_COLOUR = r"(?:\x1b\[[0-9;]{0,32}m)*+"
# A name begins here, also after a colour or a line break that JSON has escaped; not in a query.
_BEFORE = r"(?:(?<![A-Za-z0-9?&])|(?<=\\[nrt])|(?<=\x1b\[\dm)|(?<=\x1b\[\d\dm))"
_NO_VALUES = "none|null|nil|undefined|true|false|any|str|string|int|bool|bytes|emailstr|expected|observed"
# After a name without a value, the next name.
_NO_PAIR = r"(?![A-Za-z_][\w.]{0,256}+=[^\s=,;)])"

personal_data: ContextVar[Personal | None] = ContextVar("personal_data", default=None)
"""Personal data of the target that this process loaded last, for code that has an error and no target."""


class Personal:
    """One target's personal data. `public` are values that are not personal, such as names in the profile."""

    def __init__(
        self, fields: Iterable[str], secrets: Iterable[str] = (), public: Iterable[str] = ()
    ) -> None:
        """Store patterns and secrets. The key is made later: it takes a moment, and most runs need none."""
        patterns = tuple(field.casefold() for field in fields)
        self._placed = tuple(pattern for pattern in patterns if "/" in pattern)
        self._names = tuple(pattern for pattern in patterns if "/" not in pattern)
        self._secrets = tuple(sorted(secrets))
        self._public = frozenset(public)
        self._shapes = Shapes(_shapes(self._names))

    def covers(self, store: str, collection: str, field: str) -> bool:
        """Return whether a field of a collection holds personal data."""
        name = field.casefold()
        place = f"{store}/{collection}.{field}".casefold()
        # In documents a field may be a path.
        last = name.rpartition(".")[2]
        return any(fnmatchcase(one, pattern) for pattern in self._names for one in (name, last)) or any(
            fnmatchcase(place, pattern) for pattern in self._placed
        )

    def pseudonym(self, value: str) -> str:
        """Return the pseudonym of `value`: always the same, and another one for another value."""
        if value in self._public or value.startswith(MARKER) or _PSEUDONYM.fullmatch(value):
            return value
        digest = hmac.digest(self._key, value.encode("utf-8", "backslashreplace"), "sha256")
        return f"~{digest.hex()[:_DIGITS]}"

    def keys(
        self,
        store: str,
        key_fields: Callable[[Json], tuple[str, ...] | None],
        collection: str,
        *schemas: Json,
    ) -> Callable[[str], str]:
        """Return the function that shows a collection's keys; `key_fields` is the store's descriptor's.

        `collection` is the place of its records in the store (`Descriptor.place_of`), by which a profile
        names their fields. `schemas` are its current and earlier ones; if one is None, so unknown, all keys
        are pseudonyms.
        """
        for schema in schemas:
            fields = key_fields(schema)
            if fields is None or any(self.covers(store, collection, field) for field in fields):
                return self.pseudonym
        return str

    def spans(self, text: str, small: str) -> Iterator[tuple[tuple[int, int], str]]:
        """Yield the places of personal data in `text`, with pseudonyms; `small` is its small letters."""
        for shape in self._shapes.tried(small):
            for start, end in shape.spans(text, small):
                yield (start, end), self.pseudonym(text[start:end])
        if _MAILS.intersection(self._names):
            for start, end in _mails(text):
                yield (start, end), self.pseudonym(text[start:end])

    @cached_property
    def _key(self) -> bytes:
        # A person who knows a few of the secrets still cannot try out names.
        return hashlib.pbkdf2_hmac("sha256", "\0".join(self._secrets).encode(), b"rollproof", _ROUNDS)


def _shapes(names: Iterable[str]) -> Iterator[Shape]:
    """Yield the shapes of named values: quoted, in a URL's query, and bare as in logs."""
    found = False
    for name in names:
        if any(sign in name for sign in "*?["):
            continue
        found = True
        field = re.escape(name)
        for pattern in (
            rf"""(?<![A-Za-z0-9]){field}\\*+['"]?+\s*+(?:=(?!=)|:)\s*+{_QUOTED}""",
            rf"""(?<![A-Za-z0-9]){field}\\*+['"]\s*+:\s*+(?P<secret>\+?\d{{4,}})""",
            rf"""(?<=[?&]){field}=(?P<secret>[^\s&'"<>;)]+)""",
        ):
            yield Shape(name, re.compile(pattern, re.IGNORECASE))
        yield Shape(name, re.compile(_bare(name), re.IGNORECASE))
    if found:
        yield from _TWICE


def _bare(name: str) -> str:
    """Return the pattern of a value without quotes: ``name=value``, or ``name: value``, one word long.

    A mail field's name with a colon counts only before an address: otherwise it is an ordinary word.
    """
    field = re.escape(name)
    address = rf"(?={_WORD}{{0,256}}(?:@|%40))" if name in _MAILS else ""
    return (
        rf"{_BEFORE}{field}{_COLOUR}(?:=|:(?!:)[ \t]*+{address}{_NO_PAIR}){_COLOUR}{_no_code(field)}{_VALUE}"
    )


def _no_code(field: str) -> str:
    """Return a pattern of non-values: placeholders for values in source text and templates."""
    own = rf"(?:{_WORD}{{0,64}}[.:$@])?{field}"
    return rf"(?!(?:{_NO_VALUES}|%[sdr](?![0-9a-f])|\$[a-z0-9_]+|{own})(?!{_WORD})|{_WORD}{{1,256}}+[(\[{{])"


def _mails(text: str) -> Iterator[tuple[int, int]]:
    """Yield the places of mail addresses in `text`; a log-in at a URL's host does not count."""
    for host in _HOST.finditer(text):
        mailbox = _MAILBOX.search(text, max(0, host.start() - _LONGEST_MAILBOX), host.start())
        if mailbox is not None and not text.endswith("://", 0, mailbox.start()):
            yield mailbox.start(), host.end()
