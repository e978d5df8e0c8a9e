"""What records hold, as JSON that people read."""

from __future__ import annotations

import base64
import math

from fixtures.stores.content import Json


def bytes_json(value: bytes) -> Json:
    """Return bytes that stand for themselves."""
    return {"base64": base64.b64encode(value).decode()}


def text_json(value: bytes) -> Json:
    """Return the text that `value` is in UTF-8, or its bytes when it is none."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return bytes_json(value)


def number_json(value: float) -> Json:
    """Return a number; JSON has none that is infinite or not one, so those are texts."""
    return value if math.isfinite(value) else str(value)
