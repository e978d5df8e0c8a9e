"""The requests that a profile describes: filled with values, and what their answers give.

An answer of another shape raises `Mismatch`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from rollproof.errors import Mismatch, Unverifiable, shown
from rollproof.profile.functions import EACH, MERGED, PLACEHOLDER, Choice, Part
from rollproof.system.http import unwrapped

Values = Mapping[str, Any]
"""The values that stand in requests, by name."""


def _value_of(values: Values, name: str) -> Any:  # noqa: ANN401 - JSON
    if name not in values:
        raise Unverifiable(
            what=f"value {name!r} of a request",
            expected="an earlier answer that gives it",
            observed="none",
            source="application.functions of the profile",
            hint="see why the canary's log-in or upload fails, or correct the name; remove an upload by hand",
        )
    return values[name]


def filled_path(template: str, values: Values) -> str:
    """Return a path with each placeholder's value as one segment; raises `Mismatch` if that cannot be."""

    def segment(found: re.Match[str]) -> str:
        text = str(_value_of(values, found[1]))
        if text in {"", ".", ".."}:
            raise other_shape(f"a text that can stand in a path for {found[1]}", shown(text), template)
        return quote(text, safe="")

    return PLACEHOLDER.sub(segment, template)


def filled(template: Any, values: Values) -> Any:  # noqa: ANN401 - JSON
    """Return `template` with the `values` in the places of its placeholders.

    A text that is a placeholder alone becomes the value as it is. A text with a secret in it is a secret.
    """
    match template:
        case str():
            if alone := PLACEHOLDER.fullmatch(template):
                return _value_of(values, alone[1])
            used = [_value_of(values, name) for name in PLACEHOLDER.findall(template)]
            text = PLACEHOLDER.sub(lambda found: str(unwrapped(values[found[1]])), template)
            return SecretStr(text) if any(isinstance(value, SecretStr) for value in used) else text
        case Mapping():
            merged = filled(template[MERGED], values) if MERGED in template else {}
            if not isinstance(merged, Mapping):
                raise other_shape("a JSON object", type(merged).__name__, f"{MERGED} of a body")
            return {**merged, **{key: filled(one, values) for key, one in template.items() if key != MERGED}}
        case list() | tuple():
            return [filled(one, values) for one in template]
    return template


def values_at(answer: object, place: str, source: str) -> list[Any]:
    """Return the values at a `place` of a JSON answer, such as ``data.*.name``; one without ``*``."""
    found = [answer]
    for name in place.split("."):
        found = list(_below(found, name, place, source))
    return found


def _below(values: list[Any], name: str, place: str, source: str) -> Iterator[Any]:
    for value in values:
        if name == EACH:
            if not isinstance(value, list):
                raise other_shape(f"a list in {place}", type(value).__name__, source)
            yield from value
        elif isinstance(value, list) and name.isascii() and name.isdecimal():
            yield value[int(name)] if int(name) < len(value) else None
        else:
            if not isinstance(value, Mapping):
                raise other_shape(f"a JSON object in {place}", type(value).__name__, source)
            yield value.get(name)


def chosen_at(answer: object, choice: Choice, where: Mapping[str, str], source: str) -> list[Any]:
    """Return the values at the place of a `choice` in those items that are as `where` says."""
    items = values_at(answer, choice.among, source)
    wanted = [
        item for item in items if all(values_at(item, at, source) == [text] for at, text in where.items())
    ]
    return [value for item in wanted for value in values_at(item, choice.at, source)]


def texts_at(answer: object, place: str, source: str) -> list[str]:
    """Return the texts at a `place` of a JSON answer. See `values_at`."""
    found = values_at(answer, place, source)
    for value in found:
        if not isinstance(value, str) or not value:
            raise other_shape(f"text under {place}", type(value).__name__, source)
    return found


def ids_at(answer: object, place: str, source: str) -> list[str]:
    """Return the ids at a `place` of a JSON answer: texts, or whole numbers. See `texts_at`."""
    found = values_at(answer, place, source)
    numbers = [isinstance(value, int) and not isinstance(value, bool) for value in found]
    return [str(value) for value in found] if numbers and all(numbers) else texts_at(answer, place, source)


def parts_of(event: object, part: Part | None) -> list[str]:
    """Return the texts of a `part` that an event has; what is of another shape has none."""
    if part is None:
        return []
    try:
        for place, wanted in part.where.items():
            if values_at(event, place, "") != [wanted]:
                return []
        return [value for value in values_at(event, part.at, "") if isinstance(value, str)]
    except Mismatch:
        return []


def other_shape(expected: str, observed: str, source: str) -> Mismatch:
    """Return the error for an answer of another shape; `observed` must not show what may be a secret."""
    return Mismatch(
        what="answer of the application",
        expected=expected,
        observed=observed,
        source=source,
        hint="compare the API of the running release with application.functions of the profile",
    )
