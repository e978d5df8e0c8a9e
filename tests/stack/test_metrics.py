"""Searches by every metric on the real stores of vectors: the own record, its equals, and the longer ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest

from rollproof.engines.engine import ContainerEngine
from rollproof.profile.profile import Target
from rollproof.stores.contract import Search
from rollproof.stores.registry import open_reader
from staging.target.operators import Operators
from tests.running.cut import VARIANT
from tests.stack import damage, milvus_scratch

# The own record is the first by its key. Others are longer, the same many times over, or elsewhere.
LONGER = [[3.0, 4.0], [30.0, 40.0], [4.0, 3.0], [-3.0, 4.0], [0.5, 0.5]]
EQUAL = [[3.0, 4.0]] * 12
METRICS = [
    pytest.param("milvus", "COSINE", marks=VARIANT),
    *(("milvus", metric) for metric in ("L2", "IP")),
    *(("qdrant", metric) for metric in ("Euclid", "Manhattan", "Cosine", "Dot")),
]


@pytest.fixture
def collection(
    request: pytest.FixtureRequest, operators: Operators, store: str, metric: str
) -> Iterator[str]:
    vectors: Sequence[Sequence[float]] = request.param
    with ExitStack() as undo:
        if store == "qdrant":
            undo.enter_context(damage.points_collection(operators, "scratch_metric", vectors, metric))
            yield "scratch_metric"
            return
        scratch = milvus_scratch.Scratch(operators.milvus, "scratch_")
        undo.callback(scratch.drop)
        name = scratch.create("metric", 0, metric=metric)
        padding = [0.0] * (milvus_scratch.DIMENSION - 2)
        rows = [
            {"pk": key, "vector": [*vector, *padding], "file_id": "file"}
            for key, vector in enumerate(vectors, start=1)
        ]
        operators.milvus.insert(name, rows, timeout=milvus_scratch.SECONDS)
        yield name


def searched(target: Target, engine: ContainerEngine, store: str, collection: str) -> Search:
    with open_reader(store, target.stores[store], engine) as view:
        found = view.search(collection)
    assert found is not None
    assert len(found.hits) == 5
    return found


@pytest.mark.parametrize("collection", [LONGER], indirect=True, ids=["longer"])
@pytest.mark.parametrize(("store", "metric"), METRICS)
def test_the_own_record_is_found_or_a_longer_one(
    target: Target, engine: ContainerEngine, store: str, metric: str, collection: str
) -> None:
    found = searched(target, engine, store, collection)
    assert found.probe == "1"
    assert found.found
    # By the cosine a longer vector of the same direction is equal.
    assert found.hits[0].key in ({"2"} if metric in {"IP", "Dot"} else {"1", "2"})


@pytest.mark.parametrize("collection", [EQUAL], indirect=True, ids=["equal"])
@pytest.mark.parametrize(("store", "metric"), [("milvus", "L2"), ("qdrant", "Cosine")])
def test_any_of_many_equal_vectors_may_be_first(
    target: Target, engine: ContainerEngine, store: str, metric: str, collection: str
) -> None:
    found = searched(target, engine, store, collection)
    assert metric
    assert found.found, found
