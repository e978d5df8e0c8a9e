"""A collection's configuration: what was asked for, what the engine is given, what a server reports."""

from __future__ import annotations

from typing import Any

import qdrant_edge as edge

from .convert import Json
from .refusal import unsupported

DISTANCES = {
    "Cosine": edge.Distance.Cosine,
    "Euclid": edge.Distance.Euclid,
    "Manhattan": edge.Distance.Manhattan,
    "Dot": edge.Distance.Dot,
}
DATATYPES = {
    "float32": edge.VectorStorageDatatype.Float32,
    "float16": edge.VectorStorageDatatype.Float16,
    "uint8": edge.VectorStorageDatatype.Uint8,
}
INDEX_TYPES = {
    "keyword": edge.PayloadSchemaType.Keyword,
    "integer": edge.PayloadSchemaType.Integer,
    "text": edge.PayloadSchemaType.Text,
}
# The defaults of a Qdrant server, which reports them for whatever a collection did not ask for.
PARAMETERS: Json = {"shard_number": 1, "replication_factor": 1, "on_disk_payload": True}
HNSW: Json = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000, "on_disk": False}
OPTIMIZERS: Json = {
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1000,
    "default_segment_number": 0,
    "indexing_threshold": 10000,
    "flush_interval_sec": 5,
}
WAL: Json = {"wal_capacity_mb": 32, "wal_segments_ahead": 0}


def given(body: Any) -> Any:  # noqa: ANN401 - JSON
    """Return JSON without the nulls that a client sends for what it leaves open."""
    if isinstance(body, dict):
        return {name: given(value) for name, value in body.items() if value is not None}
    return body


def reported(request: Json) -> Json:
    """Return the configuration that a server would report for a collection made by `request`."""
    asked = given(request)
    parameters = {**PARAMETERS, **{name: asked[name] for name in PARAMETERS if name in asked}}
    parameters["vectors"] = asked.get("vectors", {})
    if "sparse_vectors" in asked:
        parameters["sparse_vectors"] = asked["sparse_vectors"]
    return {
        "params": parameters,
        "hnsw_config": {**HNSW, **asked.get("hnsw_config", {})},
        "optimizer_config": {**OPTIMIZERS, **asked.get("optimizers_config", {})},
        "wal_config": {**WAL, **asked.get("wal_config", {})},
    }


def engine_configuration(request: Json) -> edge.EdgeConfig:
    """Return what the engine is given for a collection made by `request`."""
    asked = given(request)
    if "quantization_config" in asked:
        raise unsupported("quantization")
    vectors = asked.get("vectors", {})
    dense: Any = (
        _dense(vectors) if "size" in vectors else {name: _dense(each) for name, each in vectors.items()}
    )
    sparse = {name: edge.EdgeSparseVectorParams() for name in asked.get("sparse_vectors", {})}
    graph = HNSW | asked.get("hnsw_config", {})
    return edge.EdgeConfig(
        vectors=dense or None,
        sparse_vectors=sparse or None,
        hnsw_config=edge.HnswIndexConfig(graph["m"], graph["ef_construct"], graph["full_scan_threshold"]),
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=indexing_threshold(request)),
    )


def indexing_threshold(request: Json) -> int | None:
    """Return the kilobytes of vectors from which a graph is built; None if the collection did not ask."""
    threshold: int | None = given(request).get("optimizers_config", {}).get("indexing_threshold")
    return threshold


def _dense(body: Json) -> edge.EdgeVectorParams:
    multi = "multivector_config" in body
    return edge.EdgeVectorParams(
        size=body["size"],
        distance=DISTANCES[body["distance"]],
        on_disk=body.get("on_disk"),
        multivector_config=edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim) if multi else None,
        datatype=DATATYPES[body["datatype"]] if "datatype" in body else None,
    )


def index_name(kind: edge.PayloadSchemaType) -> str:
    """Return the JSON name of a payload index's type."""
    return next(name for name, each in INDEX_TYPES.items() if each == kind)
