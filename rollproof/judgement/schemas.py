"""The differences of two schemas, as paths with both sides."""

from __future__ import annotations

from collections.abc import Iterator
from os.path import commonprefix

from rollproof.collection import Json
from rollproof.judgement.finding import Change
from rollproof.stores.contract import LOAD_STATE, LOADED

_LONGEST = 120
_MOVES = frozenset({"auto_increment", "ordinal_position"})
# So many characters of two long texts are shown before their first difference.
_BEFORE = 20


def schema_differences(recorded: Json, observed: Json, path: str = "") -> Iterator[tuple[Change, str]]:
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
                yield from schema_differences(recorded[key], observed[key], where)
    elif isinstance(recorded, list) and isinstance(observed, list) and len(recorded) == len(observed):
        for number, (one, other) in enumerate(zip(recorded, observed, strict=True)):
            yield from schema_differences(one, other, f"{path}[{number}]")
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
