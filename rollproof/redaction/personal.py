"""Personal data: the fields that hold it, and the pseudonyms that a report shows in place of keys of records.

A pseudonym is the start of a keyed hash. It distinguishes two people, and recurs in other reports of the same
target, but nobody can find the person without the secrets of the profile.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from functools import cached_property

from rollproof.collection import Json
from rollproof.redaction.shapes import MARKER

FIELDS = (
    *("email", "e_mail", "mail", "username", "user_name", "first_name", "last_name", "full_name"),
    *("phone", "phone_number", "mobile"),
    # Keys of sessions name their users, or are as good as their passwords.
    *("*/*token*.key", "*/*session*.key", "*/*user*.key"),
)
_ROUNDS = 100_000
_DIGITS = 8
# What stands before the first `_` of a key with a UUID or an ObjectId: the user that it belongs to.
_OWNER = re.compile(r"([^_/\s]+)_\S*?(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{24})")
_PSEUDONYM = re.compile(rf"~[0-9a-f]{{{_DIGITS}}}")


class Personal:
    """One target's personal data. `public` are values that are not personal, such as names in the profile."""

    def __init__(
        self,
        fields: Iterable[str],
        secrets: Callable[[], Iterable[str]] = tuple,
        public: Iterable[str] = (),
    ) -> None:
        """Store the patterns, and what reads `secrets`. The key is made later: most runs need none."""
        patterns = tuple(field.casefold() for field in fields)
        self._placed = tuple(pattern for pattern in patterns if "/" in pattern)
        self._names = tuple(pattern for pattern in patterns if "/" not in pattern)
        self._secrets = secrets
        self._public = frozenset(public)

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
        return self.without_owner

    def without_owner(self, key: str) -> str:
        """Return `key`, with a pseudonym for the owner's name before a generated id, ``NAME_…UUID``."""
        owner = _OWNER.match(key)
        return f"{self.pseudonym(owner[1])}{key[owner.end(1) :]}" if owner else key

    @cached_property
    def _key(self) -> bytes:
        # A person who knows a few of the secrets still cannot try out names.
        return hashlib.pbkdf2_hmac(
            "sha256", "\0".join(sorted(self._secrets())).encode(), b"rollproof", _ROUNDS
        )
