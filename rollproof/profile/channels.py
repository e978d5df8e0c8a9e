"""The channels for notifying the team: their public parts. The URL itself is a secret."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from rollproof.profile.profile import Target
from rollproof.redaction.channel_secrets import WITH_HOST

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
# The cost of each guess at a URL from its fingerprint; each is made once a process, for all of its lines.
_COST, _BLOCK, _LANES, _BYTES = 2**14, 8, 1, 12


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel as a record may name it: its place in the profile, scheme and host, and a fingerprint.

    The `fingerprint` of the whole URL tells whether a record is about this channel or another one.
    """

    name: str
    fingerprint: str


def channels_of(target: Target, migration: str) -> tuple[Channel, ...]:
    """Return the channels of `target`, fingerprinted for the record of `migration`."""
    return described(target.premigration.team.channels, f"{target.name} {migration}")


def described(urls: Sequence[SecretStr], record: str, whose: str = "") -> tuple[Channel, ...]:
    """Return the channels of `urls`, fingerprinted for `record` alone; their names begin with `whose`."""
    return tuple(
        Channel(
            f"{whose} {number} ({said_of(url.get_secret_value())})".strip(),
            _fingerprint(url.get_secret_value(), record.encode()),
        )
        for number, url in enumerate(urls, start=1)
    )


def said_of(url: str) -> str:
    """Return the public part of a channel's URL: its scheme, and its host where the scheme has one."""
    scheme, separator, _ = url.partition("://")
    scheme = scheme.lower()
    if not separator or not _SCHEME.fullmatch(scheme):
        return "no URL"
    if scheme not in WITH_HOST:
        return scheme
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    return f"{scheme}://{host}" if host else scheme


def sender_of(url: SecretStr) -> Any:  # noqa: ANN401 - the library has no type for it
    """Return Apprise's sender for a channel, or None if it does not understand the URL."""
    with warnings.catch_warnings():
        # Plugins of channels that we do not use import modules that are about to be deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        from apprise import Apprise, AppriseAsset  # noqa: PLC0415 - half a second, only a message is worth it

        # A sender that follows a redirect fetches a page instead of sending, and takes it for success:
        # a log-in, or the same path under https. A URL may say `redirect=yes` if its service needs that.
        asset = AppriseAsset(http_redirects=False)
        return Apprise.instantiate(url.get_secret_value(), asset=asset, suppress_exceptions=True)


@lru_cache(maxsize=64)
def _fingerprint(url: str, salt: bytes) -> str:
    return hashlib.scrypt(url.encode(), salt=salt, n=_COST, r=_BLOCK, p=_LANES, dklen=_BYTES).hex()
