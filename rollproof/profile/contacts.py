"""The profile's contacts for an incident, their channels, and the times of the flow. Data only."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from rollproof.profile.premigration import Seconds, Text
from rollproof.profile.sections import Model
from rollproof.redaction.secret import Secret

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


_Minutes = Annotated[float, Field(ge=0, allow_inf_nan=False, le=7 * 24 * 60)]


class Contact(Model):
    """One contact."""

    names: tuple[Text, ...] = ()
    """The people."""
    channels: tuple[Secret, ...] = ()
    """Apprise URLs that reach them, each a secret."""


class Minutes(Model):
    """The runbook's contact flow: minutes after the detection of the incident, T+0."""

    on_call: _Minutes = 0.0
    """The engineer on call is alerted."""
    acknowledge: _Minutes = 2.0
    """The alert must be acknowledged."""
    decision: _Minutes = 2.0
    """It must be decided whether to roll back."""
    tech_lead: _Minutes = 5.0
    """The tech lead is alerted."""
    assessment: _Minutes = 15.0
    """The assessment must be complete."""
    post_mortem: _Minutes = 60.0
    """The post-mortem is called."""


class Contacts(Model):
    """The contacts for an incident."""

    on_call: Contact = Contact()
    """Who is alerted first; without names anybody may acknowledge."""
    tech_lead: Contact = Contact()
    """Who is alerted then, or at once where nobody has acknowledged or decided in time."""
    post_mortem: tuple[Secret, ...] = ()
    """Channels that the post-mortem is called through; by default both contacts'."""
    minutes: Minutes = Minutes()
    """The flow's times, after the detection of the incident."""
    delivery_seconds: Seconds = 10.0
    """Seconds that one attempt may take."""

    @property
    def urls(self) -> tuple[SecretStr, ...]:
        """The URL of every channel."""
        return (*self.on_call.channels, *self.tech_lead.channels, *self.post_mortem)
