"""The one wait of tests for a real server or process: it is asked again until it answers as it must."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")
POLL_SECONDS = 0.1


def until(
    ask: Callable[[], Found], holds: Callable[[Found], object] = bool, *, seconds: float = 600.0
) -> Found:
    """Ask until what is found `holds`, and return it; fail after `seconds`, however slow the machine."""
    give_up = time.monotonic() + seconds
    while not holds(found := ask()):
        assert time.monotonic() < give_up, f"not within {seconds:g} s: {found}"
        time.sleep(POLL_SECONDS)
    return found
