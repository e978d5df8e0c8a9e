"""The verdict on one item of a target, such as the count of a collection: what was expected and observed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rollproof.errors import Meaning, Mismatch, Problem, Unverifiable, describe
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
