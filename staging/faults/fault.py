"""A data fault: its damage, how the damage is undone, and the check of phase 4 that must see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from staging.target.operators import Operators, undone

Act = Callable[[Operators], object]
Inject = Callable[[Operators], AbstractContextManager[None]]
"""Breaks something for a block, and undoes that at its end, however it ends."""

CHECKS = {
    "content": "test_collection_content[{store}/{case}]",
    "schema": "test_schema[{store}/{case}]",
    "count": "test_collection_count[{store}/{case}]",
    "golden": "test_golden_queries[{store}/{case}]",
    "collection left": "test_store_holds_no_unrecorded_collection[{store}]",
    "schema left": "test_store_holds_no_unrecorded_schema[{store}]",
    "positions": "test_positions[{store}]",
    "references": "test_references[{case}]",
}
"""The checks of phase 4, by the kind of fault that each sees."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one store: its `kind` is a key of `CHECKS`, `case` the collection or relation that has it.

    A fault that is not `exact` leaves a store that is whole but differs from before, for example in an
    object's version. A new baseline is then captured.
    """

    store: str
    what: str
    kind: str
    case: str
    inject: Inject
    exact: bool = True

    @property
    def name(self) -> str:
        """The fault's name in a command line."""
        return f"{self.store}-{self.what.replace(' ', '-')}"

    @property
    def caught_by(self) -> str:
        """The check that must be red, with its case in brackets."""
        return CHECKS[self.kind].format(store=self.store, case=self.case)


def both(do: Act, undo: Act) -> Inject:
    """Return an injection that does one thing, and another at its end."""

    @contextmanager
    def inject(operators: Operators) -> Iterator[None]:
        with undone(lambda: undo(operators)):
            do(operators)
            yield

    return inject
