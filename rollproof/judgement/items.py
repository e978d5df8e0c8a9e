"""The items of a target's stores that are judged, each by the name of the parameter that its checks have.

The names come from the baseline, so that a part that is missing from the target is still an item.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping

from rollproof.baseline.facts import Facts
from rollproof.collection import Case
from rollproof.judgement.finding import Aspect
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.profile import Target

ASPECTS: Mapping[str, Aspect] = {
    "schema": Aspect.SCHEMA,
    "collection": Aspect.COUNT,
    "content": Aspect.RECORDS,
    "searched": Aspect.RECALL,
    "moving_store": Aspect.POSITIONS,
    "shared_store": Aspect.ACCOUNTS,
    "relation": Aspect.REFERENCE,
}
"""What is judged of the items of a parameter."""


class Items(UserDict[str, list[str | Case]]):
    """Stores and collections by parameter."""

    def names(self, parameter: str) -> list[str]:
        """Return the names of a parameter, such as stores."""
        return [one for one in self[parameter] if isinstance(one, str)]

    def cases(self, parameter: str, store: str = "") -> list[Case]:
        """Return the collections of a parameter, those of `store` alone if it is given."""
        found = [one for one in self[parameter] if isinstance(one, Case)]
        return [one for one in found if one.store == store] if store else found


def items_of(target: Target, facts: Facts) -> Items:
    """Return the items that a baseline's `facts` and the profile of `target` both know.

    A store that is no longer in the profile cannot be asked about its parts: the store itself is the item
    that reports it.
    """
    known = [*target.stores, *(s for s in (*facts.stores, *facts.contents) if s not in target.stores)]
    counted = [(s, c) for s, store in facts.stores.items() if s in target.stores for c in store.counts]
    contents = [(s, content) for s, content in facts.contents.items() if s in target.stores]
    compared = [(s, name) for s in target.stores for name in facts.compared_in(s, target.stores[s])]
    return Items(
        {
            "store": list(dict.fromkeys(known)),
            "collection": [Case(s, name) for s, name in counted],
            "vectors": [Case(s, name) for s, name in counted if _held_vectors(target, facts, s, name)],
            "schema": [Case(s, name) for s, content in contents for name in content.schemas],
            "content": [Case(s, name) for s, name in compared],
            "searched": [Case(s, name) for s, name in compared if _was_searched(facts, s, name)],
            "moving_store": [s for s, content in contents if content.positions],
            "shared_store": [s for s, content in contents if content.beside is not None],
            "relation": [
                name
                for name, reference in target.references.items()
                if {reference.referencing.store, reference.referenced.store} <= target.stores.keys()
            ],
        }
    )


def _held_vectors(target: Target, facts: Facts, store: str, name: str) -> bool:
    """Return whether a collection of vectors held any, or a table had a column of them."""
    of_vectors = descriptor_of(target.stores[store]).holds_vectors
    return (of_vectors and facts.stores[store].counts[name] > 0) or _was_searched(facts, store, name)


def _was_searched(facts: Facts, store: str, name: str) -> bool:
    collections = facts.contents[store].collections if store in facts.contents else {}
    return name in collections and bool(collections[name].queries)
