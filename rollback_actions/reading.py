"""What a probe of the monitor is, and what it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Reading:
    """What a probe has read: whether that is well, in words, and the figures behind it.

    `services` are those of the target that are in trouble.
    """

    ok: bool
    text: str
    value: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    services: tuple[str, ...] = ()


class Probe(Protocol):
    """One question. It is asked again only when it has answered; raises `Problem` when it cannot be known."""

    name: str
    deadline: float

    def ask(self) -> Reading:
        """Ask, and return the answer within about `deadline` seconds."""
        ...

    def close(self) -> None:
        """Release what is held."""
        ...


class Unheld:
    """A probe that holds nothing between two questions."""

    def close(self) -> None:
        """Do nothing."""
