"""The facts of a running project beyond its files: data only, made by those who ask, read by the proposal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LAYRA = frozenset({"/api/v1/auth/login", "/api/v1/sse/chat", "/api/v1/chat/conversations"})
"""Paths by which an API is known as LAYRA's."""


@dataclass(frozen=True, slots=True)
class Api:
    """The application's API as an OpenAPI description names its `paths`.

    `interface` is the path of the description at the published URL, "" if only a service itself shows it.
    """

    described_by: str
    interface: str
    paths: tuple[str, ...]

    @property
    def is_layra(self) -> bool:
        """Whether it has LAYRA's paths."""
        return frozenset(self.paths) >= LAYRA


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that was seen. Empty for a project of which only the files are known.

    `holdings` are keys of a store's section as its server lists them. `unseen` are the stores that nobody
    could look into, `unguarded` those that ask nobody who they are. `maintenance` is the file while which is
    there the proxy answers 503.
    """

    running: bool = False
    holdings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()
    unguarded: frozenset[str] = frozenset()
    api: Api | None = None
    maintenance: str = ""
