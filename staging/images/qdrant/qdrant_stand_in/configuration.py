"""A collection's configuration: what was asked for, what the engine is given, what a server reports."""

from __future__ import annotations

from typing import Any

import qdrant_edge as edge

from .filters import Json
from .refusal import unsupported

DISTANCES = {
    "Cosine": edge.Distance.Cosine,
    "Euclid": edge.Distance.Euclid,
    "Dot": edge.Distance.Dot,
    "Manhattan": edge.Distance.Manhattan,
}
DATATYPES = {
    "float32": edge.VectorStorageDatatype.Float32,
    "float16": edge.VectorStorageDatatype.Float16,
    "uint8": edge.VectorStorageDatatype.Uint8,
}
INDEX_TYPES = {
    "keyword": edge.PayloadSchemaType.Keyword,
    "integer": edge.PayloadSchemaType.Integer,
    "float": edge.PayloadSchemaType.Float,
    "geo": edge.PayloadSchemaType.Geo,
    "text": edge.PayloadSchemaType.Text,
    "bool": edge.PayloadSchemaType.Bool,
    "datetime": edge.PayloadSchemaType.Datetime,
    "uuid": edge.PayloadSchemaType.Uuid,
}
# The defaults of a Qdrant server, which reports them for whatever a collection did not ask for.
PARAMETERS: Json = {
    "shard_number": 1,
    "replication_factor": 1,
    "write_consistency_factor": 1,
    "on_disk_payload": True,
}
HNSW: Json = {
    "m": 16,
    "ef_construct": 100,
    "full_scan_threshold": 10000,
    "max_indexing_threads": 0,
    "on_disk": False,
}
OPTIMIZERS: Json = {
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1000,
    "default_segment_number": 0,
    "max_segment_size": None,
    "memmap_threshold": None,
    "indexing_threshold": 10000,
    "flush_interval_sec": 5,
    "max_optimization_threads": None,
}
WAL: Json = {"wal_capacity_mb": 32, "wal_segments_ahead": 0, "wal_retain_closed": 1}


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
    unnamed = "size" in vectors
    dense: Any = _dense(vectors) if unnamed else {name: _dense(each) for name, each in vectors.items()}
    sparse = {name: _sparse(each) for name, each in asked.get("sparse_vectors", {}).items()}
    return edge.EdgeConfig(vectors=dense or None, sparse_vectors=sparse or None)


def _dense(body: Json) -> edge.EdgeVectorParams:
    if "quantization_config" in body:
        raise unsupported("quantization")
    multi = "multivector_config" in body
    return edge.EdgeVectorParams(
        size=body["size"],
        distance=DISTANCES[body["distance"]],
        on_disk=body.get("on_disk"),
        multivector_config=edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim) if multi else None,
        datatype=DATATYPES[body["datatype"]] if "datatype" in body else None,
    )


def _sparse(body: Json) -> edge.EdgeSparseVectorParams:
    modifier = body.get("modifier")
    return edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf if modifier == "idf" else None)


def index_type(schema: str | Json) -> edge.PayloadSchemaType:
    """Return the type of a payload index; parameters of a type are accepted and left at their defaults."""
    return INDEX_TYPES[schema if isinstance(schema, str) else schema["type"]]


def index_name(kind: edge.PayloadSchemaType) -> str:
    """Return the JSON name of a payload index's type."""
    return next(name for name, each in INDEX_TYPES.items() if each == kind)
