"""The channels for notifying the team: their public parts. The URL itself is a secret."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

# Schemes whose URL has a host in the host's place. In others a token may stand there.
_WITH_HOST = frozenset(
    {
        *("json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos", "gotify", "gotifys"),
        *("apprise", "apprises", "mmost", "mmosts", "rocket", "rockets", "matrix", "matrixs"),
    }
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")


def names_of(urls: Sequence[SecretStr], whose: str = "") -> tuple[str, ...]:
    """Return the channels of `urls` as a record may name them, such as ``on-call 1 (json://example.org)``."""
    said = (public_part(url.get_secret_value()) for url in urls)
    return tuple(f"{whose} {number} ({one})".strip() for number, one in enumerate(said, start=1))


def public_part(url: str) -> str:
    """Return the public part of a channel's URL: its scheme, and its host where the scheme has one."""
    scheme, separator, _ = url.partition("://")
    scheme = scheme.lower()
    if not separator or not _SCHEME.fullmatch(scheme):
        return "no URL"
    if scheme not in _WITH_HOST:
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
