"""A connection to an address, opened and closed: whether somebody listens there."""

from __future__ import annotations

import socket
from contextlib import closing

from rollproof.errors import Unverifiable, reason_of, unanswered

CONNECT_SECONDS = 2.0
"""The deadline of a connection: a page is waited for."""


def require_connection(host: str, port: int, seconds: float, *, what: str, source: str, hint: str) -> None:
    """Connect to `host`, and send nothing.

    Raises:
        Unverifiable: there is no connection within `seconds`.
    """
    try:
        with closing(socket.create_connection((host, port), timeout=seconds)):
            return
    except OSError as error:
        raise Unverifiable(
            what=what,
            expected=f"a connection to {host}:{port}",
            observed=reason_of(error),
            source=source,
            hint=hint,
            means=unanswered(error),
        ) from None
