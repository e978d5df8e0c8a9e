"""The names of records: what fields of a document form, and what another store references."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

Name = tuple[str, ...]
"""A record's name, or its reference to another record: the values of one or more fields, as text."""
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,18}")


def key_text(values: Sequence[object]) -> str:
    """Return the key that people read, of the values of its columns: the only one, or all as JSON texts."""
    if len(values) == 1:
        return str(values[0])
    return ", ".join(json.dumps(str(value), ensure_ascii=False) for value in values)


def key_values(key: str, columns: int) -> list[str]:
    """Return the values of a key's `columns` columns: the inverse of `key_text`."""
    return [key] if columns == 1 else json.loads(f"[{key}]")


def named(record: Mapping[str, object], fields: Sequence[str]) -> Name | None:
    """Return the name that `fields` of `record` form, or None if one is missing or null."""
    values = [record.get(field) for field in fields]
    return None if None in values else tuple(str(value) for value in values)


def names_of(document: Mapping[str, object], fields: Sequence[str]) -> Iterator[Name | None]:
    """Yield the names that `fields` form in one document, or None if they form none. See `names_at`."""
    found = names_at(document, fields)
    # An empty list names nothing, and nothing is missing in it.
    if found or not any(_is_empty(document, field.split(".")) for field in fields):
        yield from found or (None,)


def names_at(document: object, fields: Sequence[str]) -> list[Name]:
    """Return the names that `fields` together form in one document, as text; a field may be a path with dots.

    A list on a path stands for each of its items. Paths through one list that stand side by side in `fields`
    are followed in the same item: "a.x", "a.y", "b", not "a.x", "b", "a.y".
    """
    return _at(document, [field.split(".") for field in fields])


def whole_numbers(texts: Iterable[str]) -> list[int]:
    """Return as numbers those of `texts` that are whole numbers of 64 bits, as Python writes them.

    A name is a text, and the field that holds it may be a number: a server finds that by a number alone.
    """
    found = (int(text) for text in texts if _WHOLE.fullmatch(text))
    return [number for number in found if -(2**63) <= number < 2**63]


def _at(value: object, paths: Sequence[Sequence[str]]) -> list[Name]:
    """Return the names below `value`; an empty path ends there."""
    if isinstance(value, list):
        return [name for item in value for name in _at(item, paths)]
    if not any(paths):
        return [] if value is None else [(str(value),) * len(paths)]
    if not all(paths) or not isinstance(value, dict):
        return []
    names: list[Name] = [()]
    for head, rest in groupby(paths, key=lambda path: path[0]):
        below = _at(value.get(head), [path[1:] for path in rest])
        names = [(*name, *more) for name in names for more in below]
    return names


def _is_empty(value: object, path: Sequence[str]) -> bool:
    """Return whether a list along `path` is there, and empty."""
    for name in path:
        if not isinstance(value, dict):
            break
        value = value.get(name)
    return value == []
