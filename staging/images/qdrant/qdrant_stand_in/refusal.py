"""How a request is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Refusal(Exception):
    """A request that cannot be served: the HTTP status and the reason, as Qdrant words it."""

    def __init__(self, status: int, reason: str) -> None:
        """Keep the HTTP `status` next to the reason."""
        super().__init__(reason)
        self.status = status


@contextmanager
def wrong_input() -> Iterator[None]:
    """Turn what the engine or a conversion raises about a request into a 400 that carries the reason."""
    try:
        yield
    except Refusal:
        raise
    except KeyError as error:
        raise Refusal(400, f"Wrong input: missing field {error}") from error
    except Exception as error:  # the engine raises plain Exception for everything
        raise Refusal(400, f"Wrong input: {error}") from error


def unsupported(what: str) -> Refusal:
    """Return the refusal of something that the stand-in does not have."""
    return Refusal(501, f"Not supported by the stand-in: {what}")
