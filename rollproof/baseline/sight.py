"""The sight of a store's account, now and when the baseline was captured.

A store such as MySQL silently leaves out objects that an account may not see. With fewer rights there seem
to be fewer objects, and a new trigger is no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rollproof.baseline.facts import RecordedContent
from rollproof.collection import Json
from rollproof.errors import ActionFailed, listed
from rollproof.home import typed
from rollproof.stores.contract import ContentView, SightedContent

Schemas = Callable[[], Mapping[str, Json]]
"""Gives the schemas that the store told the account; asked of a store that may hide some alone."""


def grants_hint() -> str:
    """Return what to do about a reader that does not see all."""
    return f"grant the reader what it lacks: {typed('grants')}"


def whole_sight(content: ContentView, schemas: Schemas) -> tuple[str, ...]:
    """Return what the account of `content` sees, of what the store would hide silently.

    Raises:
        ActionFailed: it does not see all of it. `Unverifiable`: the store does not answer.
    """
    if not isinstance(content, SightedContent):
        return ()
    sight = content.sight(schemas())
    if lacking := [f"{what}, lacking {right}" for what, right in sight.items() if right]:
        raise ActionFailed(
            what=f"sight of the reader of {content.name}",
            expected="every object of the store: a baseline must not miss one",
            observed=f"hidden from it: {listed(lacking, between='; ')}",
            source=content.name,
            hint=grants_hint(),
        )
    return tuple(sight)


def lost_sight(content: ContentView, schemas: Schemas, recorded: RecordedContent) -> list[str]:
    """Return, in words, what the account does not see: it lacks a right, or saw it at the capture alone."""
    sight = content.sight(schemas()) if isinstance(content, SightedContent) else {}
    return [
        *(f"{what}, lacking {right}" for what, right in sight.items() if right),
        *(f"{what}, which it saw at the capture" for what in recorded.sight if what not in sight),
    ]
