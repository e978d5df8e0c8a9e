"""A finding: the verdict on one item of a target, such as a collection's count; and the items of a target."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from rollproof.baseline.facts import Facts
from rollproof.collection import Case
from rollproof.errors import Meaning, Mismatch, Problem, Unverifiable, describe
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.profile import Target
from rollproof.profile.sections import Policy
from rollproof.verdict import Verdict


class Aspect(StrEnum):
    """What a finding is about."""

    PROFILE = "profile"
    SIGHT = "sight"
    SCHEMA = "schema"
    COUNT = "count"
    RECORDS = "records"
    RECALL = "recall"
    POSITIONS = "positions"
    ACCOUNTS = "accounts"
    REFERENCE = "reference"


class Change(StrEnum):
    """What became of a part of a schema, or of the records of a collection."""

    GONE = "gone"
    ALTERED = "altered"
    ADDED = "added"
    MOVED = "moved"
    """A column's place among the others, or a counter: it follows from what else differs."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference in words, of the collection or object `name`."""

    name: str
    change: Change
    text: str


@dataclass(frozen=True, slots=True)
class EvidenceTable:
    """The first of what a finding is about, such as records with their changed fields."""

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on one item: the `aspect` of the collection or object `name` of `store`.

    `what`, `expected`, `observed`, `source` and `hint` are the parts of an error. `differences` say what
    became of each part that differs. `notes` say what was left out or sampled, whatever the verdict is.
    `users_policy` is the policy that would let users do this to the records.
    """

    store: str
    name: str
    aspect: Aspect
    verdict: Verdict
    what: str
    expected: str
    observed: str
    source: str
    hint: str
    means: Meaning = Meaning.OTHER
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    table: EvidenceTable | None = None
    users_policy: Policy | None = None

    @property
    def text(self) -> str:
        """Both sides in one line, as an error's first line has them."""
        if self.verdict is Verdict.PASSED:
            return f"{self.what}: {self.observed}"
        return describe(
            what=self.what, expected=self.expected, observed=self.observed, source=self.source, hint=""
        ).splitlines()[0]

    def require_passed(self) -> None:
        """Raise what the verdict means.

        Raises:
            Mismatch: the verdict is failed. `Unverifiable`: it is broken.
        """
        if self.verdict is not Verdict.PASSED:
            error = Mismatch if self.verdict is Verdict.FAILED else Unverifiable
            raise error(
                what=self.what,
                expected=self.expected,
                observed=self.observed,
                source=self.source,
                hint=self.hint,
                means=self.means,
            )


def not_judged(store: str, name: str, aspect: Aspect, wrong: Mismatch | Problem) -> Finding:
    """Return the finding for an item whose judgement an error ended."""
    failed = isinstance(wrong, Mismatch)
    return Finding(
        store,
        name,
        aspect,
        Verdict.FAILED if failed else Verdict.BROKEN,
        wrong.what,
        str(wrong.expected),
        str(wrong.observed),
        wrong.source,
        wrong.hint,
        wrong.means,
        (Difference(name, Change.GONE, str(wrong.observed)),) if failed else (),
    )


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
            "shared_store": [s for s, content in contents if content.unlisted is not None],
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
