"""A data fault: its damage, the way it is undone, and the check of phase 4 that must see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from staging.target.operators import Operators

Broken = Callable[[Operators], Iterator[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one store.

    `inject` breaks something and undoes that at its end, however it ends. `caught_by` is the check of phase 4
    that must be red meanwhile, with its case in brackets. A fault that is not `exact` leaves a store that is
    whole but differs from before, for example in an object's version. A new baseline is then captured.
    """

    name: str
    store: str
    what: str
    caught_by: str
    inject: Callable[[Operators], AbstractContextManager[None]]
    exact: bool = True

    @property
    def across(self) -> bool:
        """Whether only a check of references between stores can see the fault."""
        return self.caught_by.startswith("test_references")


class Register:
    """The faults of one store, in the order of their definition; its methods are decorators."""

    def __init__(self, store: str) -> None:
        """Start without any fault."""
        self.store = store
        self.faults: list[Fault] = []

    def content(self, collection: str, *, exact: bool = True) -> Callable[[Broken], Broken]:
        """Register a fault that the comparison of a collection's records must see."""
        return self._case(f"test_collection_content[{self.store}/{collection}]", exact=exact)

    def schema(self, name: str) -> Callable[[Broken], Broken]:
        """Register a fault that the comparison of the schema `name` must see."""
        return self._case(f"test_schema[{self.store}/{name}]")

    def count(self, collection: str) -> Callable[[Broken], Broken]:
        """Register a fault that the count of a collection's records must see."""
        return self._case(f"test_collection_count[{self.store}/{collection}]")

    def golden(self, collection: str) -> Callable[[Broken], Broken]:
        """Register a fault that a search for a recorded vector must see."""
        return self._case(f"test_golden_queries[{self.store}/{collection}]")

    def left_over(self) -> Callable[[Broken], Broken]:
        """Register a fault that leaves a collection which the baseline does not know."""
        return self._case(f"test_store_holds_no_unrecorded_collection[{self.store}]")

    def left_over_schema(self) -> Callable[[Broken], Broken]:
        """Register a fault that leaves a view, alias or the like which the baseline does not know."""
        return self._case(f"test_store_holds_no_unrecorded_schema[{self.store}]")

    def positions(self) -> Callable[[Broken], Broken]:
        """Register a fault that the comparison of positions must see."""
        return self._case(f"test_positions[{self.store}]")

    def references(self, relation: str) -> Callable[[Broken], Broken]:
        """Register a fault that leaves a reference to a missing record."""
        return self._case(f"test_references[{relation}]")

    def _case(self, caught_by: str, *, exact: bool = True) -> Callable[[Broken], Broken]:
        def register(broken: Broken) -> Broken:
            words = " ".join((broken.__doc__ or "").split()).removesuffix(".")
            name = f"{self.store}-{broken.__name__.replace('_', '-')}"
            self.faults.append(Fault(name, self.store, words, caught_by, contextmanager(broken), exact))
            return broken

        return register
