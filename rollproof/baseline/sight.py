"""Which objects a store's account sees, now and when the baseline was captured.

A store such as MySQL silently leaves out objects that an account may not see. With fewer rights there seem
to be fewer objects, and a new trigger goes unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rollproof.baseline.facts import RecordedContent
from rollproof.collection import Json
from rollproof.errors import ActionFailed, listed
from rollproof.stores.reader import Reader

Schemas = Callable[[], Mapping[str, Json]]
"""Returns the schemas as the account sees them."""


GRANTS_HINT = "grant the reader what it lacks, as the statements that init writes do"
"""The hint for a reader that does not see all."""


def require_whole_sight(content: Reader, schemas: Schemas) -> tuple[str, ...]:
    """Return the kinds of objects that the store could hide from this account, when it sees them all.

    Raises:
        ActionFailed: it does not see them all. `Unverifiable`: the store does not answer.
    """
    sight = content.sight(schemas())
    if lacking := [f"{what}, lacking {right}" for what, right in sight.items() if right]:
        raise ActionFailed(
            what=f"sight of the reader of {content.name}",
            expected="every object of the store: a baseline must not miss one",
            observed=f"hidden from it: {listed(lacking, between='; ')}",
            source=content.name,
            hint=GRANTS_HINT,
        )
    return tuple(sight)


def lost_sight(content: Reader, schemas: Schemas, recorded: RecordedContent) -> list[str]:
    """Return in words what the account cannot see: for lack of a right, or though it could at the capture."""
    sight = content.sight(schemas())
    return [
        *(f"{what}, lacking {right}" for what, right in sight.items() if right),
        *(f"{what}, which it saw at the capture" for what in recorded.sight if what not in sight),
    ]
