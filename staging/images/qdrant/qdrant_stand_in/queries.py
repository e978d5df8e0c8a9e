"""Scrolls and searches: from Qdrant's JSON to the engine's requests."""

from __future__ import annotations

from typing import Any

import qdrant_edge as edge

from .filters import Json, filter_of, point_id
from .points import selected_payload, vector_of
from .refusal import Refusal, unsupported

DEFAULT_LIMIT = 10


def order_of(value: str | Json | None) -> edge.OrderBy | None:
    """Return the order that a scroll or a query asks for."""
    if value is None:
        return None
    if isinstance(value, str):
        return edge.OrderBy(value)
    direction = {"asc": edge.Direction.Asc, "desc": edge.Direction.Desc, None: None}[value.get("direction")]
    return edge.OrderBy(value["key"], direction, value.get("start_from"))


def scroll_request(body: Json) -> edge.ScrollRequest:
    """Return the engine's scroll for a JSON scroll."""
    offset = body.get("offset")
    return edge.ScrollRequest(
        offset=None if offset is None else point_id(offset),
        limit=body.get("limit") or DEFAULT_LIMIT,
        filter=filter_of(body.get("filter")),
        with_payload=selected_payload(body.get("with_payload"), otherwise=True),
        with_vector=body.get("with_vector") or False,
        order_by=order_of(body.get("order_by")),
    )


def query_request(shard: edge.EdgeShard, body: Json) -> edge.QueryRequest:
    """Return the engine's query for a JSON query; a query by id is looked up in `shard`."""
    query, found_by = _scoring(shard, body)
    return edge.QueryRequest(
        limit=body.get("limit") or DEFAULT_LIMIT,
        offset=body.get("offset"),
        query=query,
        prefetches=[_prefetch(shard, each) for each in _list(body.get("prefetch"))] or None,
        with_vector=body.get("with_vector") or False,
        with_payload=selected_payload(body.get("with_payload"), otherwise=False),
        filter=_without(found_by, filter_of(body.get("filter"))),
        score_threshold=body.get("score_threshold"),
        params=_parameters(body.get("params")),
    )


def _list(value: Any) -> list[Any]:  # noqa: ANN401 - one or many
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _prefetch(shard: edge.EdgeShard, body: Json) -> edge.Prefetch:
    query, found_by = _scoring(shard, body)
    return edge.Prefetch(
        limit=body.get("limit") or DEFAULT_LIMIT,
        query=query,
        prefetches=[_prefetch(shard, each) for each in _list(body.get("prefetch"))] or None,
        params=_parameters(body.get("params")),
        filter=_without(found_by, filter_of(body.get("filter"))),
        score_threshold=body.get("score_threshold"),
    )


def _scoring(  # noqa: PLR0911 - one return a kind of query
    shard: edge.EdgeShard, body: Json
) -> tuple[Any, int | str | None]:
    """Return the engine's scoring query, and the id of the point that it was taken from, if any."""
    query = body.get("query")
    using = body.get("using")
    if query is None:
        return None, None
    if isinstance(query, dict) and "nearest" in query:
        query = query["nearest"]
    if isinstance(query, (int, str)):
        return edge.Query.Nearest(_vector_of_point(shard, query, using), using=using), query
    if isinstance(query, list) or query.keys() == {"indices", "values"}:
        return edge.Query.Nearest(vector_of(query), using=using), None
    if "order_by" in query:
        return order_of(query["order_by"]), None
    if query.get("fusion") == "rrf":
        return edge.Fusion.Rrf(k=2), None
    if query.get("fusion") == "dbsf":
        return edge.Fusion.Dbsf(), None
    if query.get("sample") == "random":
        return edge.Sample.Random, None
    raise unsupported(f"a query with the fields {sorted(query)}")


def _vector_of_point(shard: edge.EdgeShard, number: int | str, using: str | None) -> Any:  # noqa: ANN401
    found = shard.retrieve([point_id(number)], with_payload=False, with_vector=True)
    if not found:
        raise Refusal(404, f"Not found: No point with id {number} found")
    vector = found[0].vector
    return vector[using or ""] if isinstance(vector, dict) else vector


def _without(number: int | str | None, given: edge.Filter | None) -> edge.Filter | None:
    """Return `given` less the point that a query was taken from, which would always be its own best hit."""
    if number is None:
        return given
    exclusion = edge.HasIdCondition({point_id(number)})
    return edge.Filter(must=None if given is None else [given], must_not=[exclusion])


def _parameters(body: Json | None) -> edge.SearchParams | None:
    if body is None:
        return None
    return edge.SearchParams(
        hnsw_ef=body.get("hnsw_ef"),
        exact=body.get("exact") or False,
        indexed_only=body.get("indexed_only") or False,
    )
