"""Points, and the operations that change them: from Qdrant's JSON to the engine's objects and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import qdrant_edge as edge

from .filters import Json, filter_of, point_id
from .refusal import Refusal

Operation = edge.UpdateOperation


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


def id_json(value: int | UUID | str) -> int | str:
    """Return a point's id as JSON."""
    return value if isinstance(value, int) else str(value)


def record_json(record: edge.Record) -> Json:
    """Return a retrieved or scrolled point as JSON; what was not asked for is left out."""
    body: Json = {"id": id_json(record.id)}
    if record.payload is not None:
        body["payload"] = record.payload
    if record.vector is not None:
        body["vector"] = vector_json(record.vector)
    if record.order_value is not None:
        body["order_value"] = record.order_value
    return body


def scored_json(point: edge.ScoredPoint) -> Json:
    """Return a found point as JSON."""
    body: Json = {"id": id_json(point.id), "version": point.version, "score": point.score}
    if point.payload is not None:
        body["payload"] = point.payload
    if point.vector is not None:
        body["vector"] = vector_json(point.vector)
    if point.order_value is not None:
        body["order_value"] = point.order_value
    return body


def selected_payload(value: bool | list[str] | Json | None, *, otherwise: bool) -> Any:  # noqa: ANN401, FBT001
    """Return Qdrant's with_payload as the engine's; None means `otherwise`."""
    if value is None:
        return otherwise
    if isinstance(value, dict):
        if "include" in value:
            return edge.PayloadSelector.Include(value["include"])
        return edge.PayloadSelector.Exclude(value["exclude"])
    return value


def _points(body: Json) -> list[edge.Point]:
    if "batch" in body:
        batch = body["batch"]
        payloads = batch.get("payloads") or [None] * len(batch["ids"])
        vectors = batch["vectors"]
        if isinstance(vectors, dict):
            rows: list[Any] = [
                dict(zip(vectors, row, strict=True)) for row in zip(*vectors.values(), strict=True)
            ]
        else:
            rows = vectors
        return [
            edge.Point(point_id(number), vector_of(vector), payload)
            for number, vector, payload in zip(batch["ids"], rows, payloads, strict=True)
        ]
    return [
        edge.Point(point_id(each["id"]), vector_of(each["vector"]), each.get("payload"))
        for each in body["points"]
    ]


def _upsert(body: Json) -> Operation:
    return Operation.upsert_points(_points(body))


def _selection(
    by_id: Callable[..., Operation],
    by_filter: Callable[..., Operation],
    *fields: str,
    **optional: str,
) -> Callable[[Json], Operation]:
    """Return the operation over chosen points: by id or by filter, with `fields` taken from the body."""

    def build(body: Json) -> Operation:
        arguments = [body[name] for name in fields]
        extra = {name: body.get(field) for name, field in optional.items()}
        if body.get("points") is not None:
            return by_id([point_id(each) for each in body["points"]], *arguments, **extra)
        if body.get("filter") is not None:
            return by_filter(filter_of(body["filter"]), *arguments, **extra)
        raise Refusal(400, "Wrong input: either points or filter has to be given")

    return build


def _update_vectors(body: Json) -> Operation:
    return Operation.update_vectors(
        [edge.PointVectors(point_id(each["id"]), vector_of(each["vector"])) for each in body["points"]],
    )


OPERATIONS: dict[str, Callable[[Json], Operation]] = {
    "upsert": _upsert,
    "delete": _selection(Operation.delete_points, Operation.delete_points_by_filter),
    "set_payload": _selection(Operation.set_payload, Operation.set_payload_by_filter, "payload", key="key"),
    "overwrite_payload": _selection(
        Operation.overwrite_payload, Operation.overwrite_payload_by_filter, "payload", key="key"
    ),
    "delete_payload": _selection(Operation.delete_payload, Operation.delete_payload_by_filter, "keys"),
    "clear_payload": _selection(Operation.clear_payload, Operation.clear_payload_by_filter),
    "update_vectors": _update_vectors,
    "delete_vectors": _selection(Operation.delete_vectors, Operation.delete_vectors_by_filter, "vector"),
}
"""The changes that Qdrant's batch endpoint knows, by its names for them."""
