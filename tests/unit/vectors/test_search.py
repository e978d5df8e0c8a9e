"""Whether a search found its own record, by the store's own order, whatever its score means."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

from rollproof.stores.contract import Hit, Search
from rollproof.stores.vectors import Metric, search_of


def search(vector: Any, metric: Metric, *hits: tuple[str, float]) -> Search:  # noqa: ANN401 - as stored
    return search_of("1", vector, [Hit(key, score) for key, score in hits], lambda: metric)


def unasked() -> NoReturn:
    raise AssertionError("the probe is among the hits: no metric is needed")


@pytest.mark.parametrize(
    "hits",
    [
        [("1", 0.0), ("2", 3.0), ("3", 9.0)],  # a distance: the smallest is best
        [("1", 0.8), ("2", 0.7)],
        [("2", 0.0), ("1", 0.0), ("3", 1.0)],
        [("2", 0.79999994), ("1", 0.8), ("3", 0.5)],
    ],
    ids=["distance", "similarity", "tie", "tie but for the last bits"],
)
def test_the_probe_among_the_best_hits_is_found_whatever_its_score(hits: list[tuple[str, float]]) -> None:
    assert search_of("1", [3.0, 4.0], [Hit(*hit) for hit in hits], unasked).found


@pytest.mark.parametrize(
    ("metric", "own", "worse", "vector"),
    [
        (Metric.DISTANCE, 0.0, 0.5, [3.0, 4.0]),
        (Metric.COSINE, 1.0, 0.9, [3.0, 4.0]),
        (Metric.COSINE, 2.0, 1.0, [[1.0], [2.0]]),
        (Metric.INNER_PRODUCT, 25.0, 24.0, [3.0, 4.0]),
        (Metric.INNER_PRODUCT, 1.25, 1.0, {"indices": [7, 3], "values": [1.0, 0.5]}),
    ],
)
def test_another_record_is_as_good_as_the_probe_only_if_it_scores_as_the_vector_itself(
    metric: Metric,
    own: float,
    worse: float,
    vector: Any,  # noqa: ANN401 - as stored
) -> None:
    assert search(vector, metric, ("2", own), ("3", own)).found
    assert not search(vector, metric, ("2", worse), ("1", worse / 2)).found


def test_by_the_inner_product_a_longer_vector_may_be_first() -> None:
    assert search([1.0, 0.0], Metric.INNER_PRODUCT, ("2", 9.0), ("1", 1.0)).found


def test_no_hit_is_none() -> None:
    for metric in Metric:
        assert not search([1.0], metric).found
