"""Comparing schemas, as paths with both sides, and neighbours that a search finds; what is not compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from math import isclose
from os.path import commonprefix

from rollproof.collection import Json
from rollproof.errors import listed
from rollproof.profile.sections import Policy
from rollproof.stores.contract import LOAD_STATE, LOADED, Beside, Neighbours

_LONGEST = 120
_MOVES = frozenset({"auto_increment", "ordinal_position"})
# So many characters of two long texts are shown before their first difference.
_BEFORE = 20
# A server may sum a score in any order, so its last bits differ from run to run.
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5


class Change(StrEnum):
    """What became of a part of a schema, or of the records of a collection."""

    GONE = "gone"
    ALTERED = "altered"
    ADDED = "added"
    MOVED = "moved"
    """A column's place among the others, or a counter: it follows from what else differs."""


def schema_differences(recorded: Json, observed: Json) -> Iterator[str]:
    """Yield each difference as ``path: expected X, observed Y``."""
    return (text for _, text in schema_changes(recorded, observed))


def schema_changes(recorded: Json, observed: Json, path: str = "") -> Iterator[tuple[Change, str]]:
    """Yield each difference: ``Change.ALTERED, "columns.name.type: expected X, observed Y"``.

    A collection that is loaded is never worse than at the capture, when it may still have been loading.
    """
    if path == LOAD_STATE and observed == LOADED:
        return
    if isinstance(recorded, dict) and isinstance(observed, dict):
        for key in sorted({*recorded, *observed}):
            where = f"{path}.{key}" if path else key
            if key not in observed:
                yield Change.GONE, f"{where}: expected {_text(recorded[key])}, observed none"
            elif key not in recorded:
                yield Change.ADDED, f"{where}: expected none, observed {_text(observed[key])}"
            else:
                yield from schema_changes(recorded[key], observed[key], where)
    elif isinstance(recorded, list) and isinstance(observed, list) and len(recorded) == len(observed):
        for number, (one, other) in enumerate(zip(recorded, observed, strict=True)):
            yield from schema_changes(one, other, f"{path}[{number}]")
    elif type(recorded) is not type(observed) or recorded != observed:
        one, other = repr(recorded), repr(observed)
        start = 0
        if max(len(one), len(other)) > _LONGEST:
            start = max(len(commonprefix((one, other))) - _BEFORE, 0)  # noqa: RUF071 - of characters
        sides = f"expected {_excerpt(one, start)}, observed {_excerpt(other, start)}"
        change = Change.MOVED if path.rpartition(".")[2] in _MOVES else Change.ALTERED
        yield change, f"{path or 'schema'}: {sides}"


def _text(value: Json) -> str:
    return _excerpt(repr(value))


def _excerpt(text: str, start: int = 0) -> str:
    end = start + _LONGEST
    return f"{'…' if start else ''}{text[start:end]}{'…' if len(text) > end else ''}"


def same_neighbours(before: Neighbours, now: Neighbours, policy: Policy = "exact") -> bool:
    """Return True if both found the same records; records with equal scores may change places.

    The last place may be another record with the same score: the server chooses among equals. In a collection
    that may grow, new records may be nearer than some of before, and push the farthest of them out. Where
    users delete records, some of before may be gone, but not all.
    """
    exact = policy == "exact"
    found, last = dict(zip(now.keys, now.scores, strict=True)), now.scores[-1] if now.scores else 0.0
    if policy == "deletes" and before.keys:
        left = [both for both in zip(before.keys, before.scores, strict=True) if both[0] in found]
        return bool(left) and all(_equal(score, found[key]) for key, score in left)
    # Scores fall towards the last, or rise when they are distances; where all are equal, nobody knows.
    ends = [(one.scores[0], one.scores[-1]) for one in (before, now) if one.scores]
    falls = next((first > end for first, end in ends if not _equal(first, end)), None)

    def may_be_out(score: float) -> bool:
        return _equal(score, last) or (not exact and (falls is None or (score < last) is falls))

    return (
        len(before.keys) == len(now.keys)
        and (not exact or all(map(_equal, before.scores, now.scores)))
        and all(
            _equal(found[key], score) if key in found else may_be_out(score)
            for key, score in zip(before.keys, before.scores, strict=True)
        )
    )


def neighbour_differences(
    recorded: Sequence[Neighbours],
    observed: Sequence[Neighbours],
    policy: Policy,
    shown: Callable[[str], str],
) -> Iterator[str]:
    """Yield each golden query that finds other neighbours now, in words, keys in their form from `shown`."""
    for number, (before, now) in enumerate(zip(recorded, observed, strict=True), start=1):
        if not same_neighbours(before, now, policy):
            both = f"{neighbours_text(before, shown)}, now {neighbours_text(now, shown)}"
            yield f"golden query {number}: {both}"


def neighbours_text(neighbours: Neighbours, shown: Callable[[str], str]) -> str:
    """Return keys, each in its form from `shown`, and scores, best first."""
    return ", ".join(
        f"{shown(key)} ({score:.5g})" for key, score in zip(neighbours.keys, neighbours.scores, strict=True)
    )


def _equal(one: float, other: float) -> bool:
    return isclose(one, other, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)


def not_compared(recorded: Beside, now: Beside) -> Iterator[str]:
    """Yield what a store holds beside its collections that is not compared, and why."""
    come = sorted(set(now.outside) - set(recorded.outside))
    gone = sorted(set(recorded.outside) - set(now.outside))
    if now.outside or gone:
        outside, came, went = (listed(names) or "nothing" for names in (now.outside, come, gone))
        yield (
            f"outside of the profile, so not verified: {outside};"
            f" come since the capture: {came}; gone: {went}"
        )
    if now.unread:
        yield f"not read, lacking a right: {listed(now.unread, between='; ')}"
