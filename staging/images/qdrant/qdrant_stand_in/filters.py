"""Filters: from Qdrant's JSON to the engine's objects."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import qdrant_edge as edge

from .refusal import unsupported

Json = dict[str, Any]


def point_id(value: int | str) -> int | UUID:
    """Return an id as the engine wants it; text that is no UUID is a `ValueError`."""
    return value if isinstance(value, int) else UUID(value)


def filter_of(body: Json | None) -> edge.Filter | None:
    """Return the engine's filter for a JSON filter; None filters nothing."""
    if body is None:
        return None
    min_should = body.get("min_should")
    return edge.Filter(
        must=_conditions(body.get("must")),
        should=_conditions(body.get("should")),
        must_not=_conditions(body.get("must_not")),
        min_should=None
        if min_should is None
        else edge.MinShould(_conditions(min_should["conditions"]) or [], min_should["min_count"]),
    )


def _conditions(clause: Json | list[Json] | None) -> list[Any] | None:
    if clause is None:
        return None
    return [_condition(each) for each in (clause if isinstance(clause, list) else [clause])]


def _condition(body: Json) -> Any:  # noqa: ANN401, PLR0911 - one return a kind of condition
    if "key" in body:
        return _field(body)
    if "has_id" in body:
        return edge.HasIdCondition({point_id(each) for each in body["has_id"]})
    if "has_vector" in body:
        return edge.HasVectorCondition(body["has_vector"])
    if "is_empty" in body:
        return edge.IsEmptyCondition(body["is_empty"]["key"])
    if "is_null" in body:
        return edge.IsNullCondition(body["is_null"]["key"])
    if "nested" in body:
        nested = filter_of(body["nested"]["filter"]) or edge.Filter()
        return edge.NestedCondition(body["nested"]["key"], nested)
    if body.keys() & {"must", "should", "must_not", "min_should"}:
        return filter_of(body)
    raise unsupported(f"a condition with the fields {sorted(body)}")


def _field(body: Json) -> edge.FieldCondition:
    unknown = body.keys() - {"key", "match", "range", "values_count", "is_empty", "is_null"}
    present = {name for name in unknown if body[name] is not None}
    if present:
        raise unsupported(f"a field condition with {sorted(present)}")
    count = body.get("values_count")
    return edge.FieldCondition(
        body["key"],
        match=_match(body.get("match")),
        range=_range(body.get("range")),
        values_count=None if count is None else edge.ValuesCount(**count),
        is_empty=body.get("is_empty"),
        is_null=body.get("is_null"),
    )


def _match(body: Json | None) -> Any:  # noqa: ANN401 - the engine's union of match classes
    if body is None:
        return None
    for name, build in (
        ("value", edge.MatchValue),
        ("any", edge.MatchAny),
        ("except", edge.MatchExcept),
        ("text", edge.MatchText),
        ("text_any", edge.MatchTextAny),
        ("phrase", edge.MatchPhrase),
    ):
        if name in body:
            return build(body[name])
    raise unsupported(f"a match with the fields {sorted(body)}")


def _range(body: Json | None) -> edge.RangeFloat | edge.RangeDateTime | None:
    if body is None:
        return None
    bounds = {name: bound for name, bound in body.items() if bound is not None}
    if any(isinstance(bound, str) for bound in bounds.values()):
        return edge.RangeDateTime(**bounds)
    return edge.RangeFloat(**bounds)
