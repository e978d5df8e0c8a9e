"""The facts of a running project beyond its files: data only, made by those who ask, read by the proposal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rollproof.profile.sections import Policy

LAYRA = frozenset({"/api/v1/auth/login", "/api/v1/sse/chat", "/api/v1/chat/conversations"})
"""Paths by which an API is known as LAYRA's."""


@dataclass(frozen=True, slots=True)
class Api:
    """The application's API, as far as it answered.

    `interface` is the path of its description at the published URL, "" if only the service shows it, or
    nobody. `health` is the path of a health endpoint and `expect` what it answers.
    """

    described_by: str = ""
    interface: str = ""
    paths: tuple[str, ...] = ()
    health: str = ""
    expect: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_layra(self) -> bool:
        """Whether it has LAYRA's paths."""
        return frozenset(self.paths) >= LAYRA


@dataclass(frozen=True, slots=True)
class Watched:
    """The changes in so many `seconds`, by store.

    `policies` are those that fit, `touched` the fields that tell of a change; both by a pattern of
    collections. `made` is that of the collections that are made for users.
    """

    policies: Mapping[str, Mapping[str, Policy]]
    touched: Mapping[str, Mapping[str, str]]
    made: Mapping[str, str]
    seconds: float


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that was seen. Empty for a project of which only the files are known.

    `greetings` are the kind, port and words of what answered in a service. `holdings` are keys of a store's
    section by the server's own word, `unseen` the reason why there are none. `unguarded` are the stores that
    ask nobody who they are. `watched` is what changed meanwhile, None if nobody watched.
    """

    running: bool = False
    greetings: Mapping[str, tuple[str, int, str]] = field(default_factory=dict)
    ended: frozenset[str] = frozenset()
    holdings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    unseen: Mapping[str, str] = field(default_factory=dict)
    unguarded: frozenset[str] = frozenset()
    api: Api | None = None
    log: str = ""
    maintenance: str = ""
    revisions: bool = False
    watched: Watched | None = None
