"""Whether the application is in maintenance, as its users see it, and as the canary does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollproof.errors import Unverifiable
from rollproof.profile.application_profile import Application
from rollproof.system.http import Request, opened

if TYPE_CHECKING:
    from httpx2 import BaseTransport

GLANCE_SECONDS = 3.0
"""For a look beside something else: a person waits for it."""
_UNAVAILABLE = 503


def in_maintenance(
    application: Application,
    seconds: float,
    *,
    by_way_in: bool = False,
    transport: BaseTransport | None = None,
) -> bool:
    """Ask once, as a user would; tell whether the answer is an application's in maintenance.

    `by_way_in` asks with the header that lets the canary in.

    Raises:
        Unverifiable: there is no answer within `seconds`.
    """
    way_in = application.way_in if by_way_in else None
    with opened(Request("GET", str(application.url), way_in=way_in), seconds, transport) as (response, _):
        return response.status_code == _UNAVAILABLE and "Retry-After" in response.headers


def kept_out(application: Application, transport: BaseTransport | None = None) -> bool:
    """Return whether users are seen to be kept out although the canary has a way in; False if unknown."""
    if application.way_in is None:
        return False
    try:
        return in_maintenance(application, GLANCE_SECONDS, transport=transport)
    except Unverifiable:
        return False
