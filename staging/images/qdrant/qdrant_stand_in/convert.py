"""From Qdrant's JSON to the engine's objects, and back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import qdrant_edge as edge

from .refusal import Refusal, unsupported

Json = dict[str, Any]
DEFAULT_LIMIT = 10


def point_id(value: int | str) -> int | UUID:
    """Return an id as the engine wants it; text that is no UUID is a `ValueError`."""
    return value if isinstance(value, int) else UUID(value)


def id_json(value: int | UUID | str) -> int | str:
    """Return a point's id as JSON."""
    return value if isinstance(value, int) else str(value)


def vector_of(value: Any) -> Any:  # noqa: ANN401 - dense, multi, sparse or named
    """Return a JSON vector as the engine's: dense, multi, sparse, or a mapping of names to those."""
    if isinstance(value, dict):
        if value.keys() == {"indices", "values"}:
            return edge.SparseVector(value["indices"], value["values"])
        return {name: vector_of(each) for name, each in value.items()}
    return value


def vector_json(value: Any) -> Any:  # noqa: ANN401 - dense, multi, sparse or named
    """Return the engine's vector as JSON."""
    if isinstance(value, edge.SparseVector):
        return {"indices": value.indices, "values": value.values}
    if isinstance(value, dict):
        return {name: vector_json(each) for name, each in value.items()}
    return value


def point_json(point: edge.Record | edge.ScoredPoint) -> Json:
    """Return a scrolled or found point as JSON; what was not asked for is left out."""
    body: Json = {"id": id_json(point.id)}
    if isinstance(point, edge.ScoredPoint):
        body |= {"version": point.version, "score": point.score}
    if point.payload is not None:
        body["payload"] = point.payload
    if point.vector is not None:
        body["vector"] = vector_json(point.vector)
    return body


def filter_of(body: Json | None) -> edge.Filter:
    """Return the engine's filter: fields that match one value, or one of several; without any, all pass."""
    body = body or {}
    _only(body, "must", "must_not")
    must, must_not = ([_condition(each) for each in body.get(name) or []] for name in ("must", "must_not"))
    return edge.Filter(must=must or None, must_not=must_not or None)


def _condition(body: Json) -> Any:  # noqa: ANN401 - of the engine, any of several
    match body:
        case {"has_id": ids}:
            return edge.HasIdCondition({point_id(each) for each in ids})
        case {"key": key, "match": {"value": value}}:
            return edge.FieldCondition(key, match=edge.MatchValue(value))
        case {"key": key, "match": {"any": values}}:
            return edge.FieldCondition(key, match=edge.MatchAny(values))
        case _:
            raise unsupported(f"a condition with the fields {sorted(body)}")


def upsert(body: Json) -> edge.UpdateOperation:
    """Return the engine's upsert of points."""
    return edge.UpdateOperation.upsert_points(
        [
            edge.Point(point_id(each["id"]), vector_of(each["vector"]), each.get("payload"))
            for each in body["points"]
        ]
    )


def deletion(body: Json) -> edge.UpdateOperation:
    """Return the engine's deletion of points, by id or by filter."""
    if body.get("points") is not None:
        return edge.UpdateOperation.delete_points([point_id(each) for each in body["points"]])
    if body.get("filter") is not None:
        return edge.UpdateOperation.delete_points_by_filter(filter_of(body["filter"]))
    raise Refusal(400, "Wrong input: either points or filter has to be given")


def vectors_deletion(body: Json) -> edge.UpdateOperation:
    """Return the engine's deletion of named vectors of points."""
    return edge.UpdateOperation.delete_vectors([point_id(each) for each in body["points"]], body["vector"])


def scroll(body: Json) -> edge.ScrollRequest:
    """Return the engine's scroll."""
    _only(body, "offset", "limit", "filter", "with_payload", "with_vector")
    offset, payload = body.get("offset"), body.get("with_payload")
    return edge.ScrollRequest(
        offset=None if offset is None else point_id(offset),
        limit=body.get("limit") or DEFAULT_LIMIT,
        filter=filter_of(body.get("filter")),
        with_payload=True if payload is None else payload,
        with_vector=body.get("with_vector") or False,
    )


def query(body: Json) -> edge.QueryRequest:
    """Return the engine's search for the points that are nearest to a vector."""
    _only(body, "query", "using", "limit", "filter", "with_payload", "with_vector", "params")
    nearest = body["query"]
    if isinstance(nearest, dict) and "nearest" in nearest:
        nearest = nearest["nearest"]
    return edge.QueryRequest(
        limit=body.get("limit") or DEFAULT_LIMIT,
        query=edge.Query.Nearest(vector_of(nearest), using=body.get("using")),
        with_payload=body.get("with_payload") or False,
        with_vector=body.get("with_vector") or False,
        filter=filter_of(body.get("filter")),
        params=edge.SearchParams(exact=bool((body.get("params") or {}).get("exact"))),
    )


def _only(body: Json, *known: str) -> None:
    """Refuse what the stand-in would otherwise pass over."""
    if more := {name for name, value in body.items() if value is not None} - {*known}:
        raise unsupported(f"a request with {sorted(more)}")
