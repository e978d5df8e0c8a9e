"""Whether a search found its own record, by the store's own order, whatever its score means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from checks.verification.test_phase2_connectivity import test_vectors_answer_a_search as check
from fixtures.gating.evidence import Expect
from rollproof.collection import Case
from rollproof.errors import Mismatch
from rollproof.stores.contract import Hit, Search
from rollproof.stores.vectors import Metric, judged

AT = Case("vectors", "files")


def search(*hits: tuple[str, float], probe: str = "1") -> Search:
    return Search(probe, tuple(Hit(key, score) for key, score in hits))


def checked(found: Search, others: Callable[[Case], Sequence[str]] = lambda _: ()) -> None:
    check(AT, {AT.id: found}, others, Expect([]))


@pytest.mark.parametrize(
    "hits",
    [
        [("1", 0.0), ("2", 3.0), ("3", 9.0)],  # a distance: the smallest is best
        [("1", 1.0), ("2", 0.9)],
        [("2", 0.0), ("1", 0.0), ("3", 1.0)],
        [("2", 0.99999994), ("1", 1.0), ("3", 0.5)],
    ],
    ids=["distance", "similarity", "tie", "tie but for the last bits"],
)
def test_the_first_hit_is_best_whatever_its_score(hits: list[tuple[str, float]]) -> None:
    checked(search(*hits))


@pytest.mark.parametrize("hits", [[("2", 1.0), ("1", 4.0)], [("2", 0.9), ("3", 0.8)], []])
def test_another_record_first_is_red(hits: list[tuple[str, float]]) -> None:
    with pytest.raises(Mismatch, match=r"expected 1 among the best hits, observed (2 |no hit)"):
        checked(search(*hits))


def vectors(*numbers: Any) -> Mapping[str, Any]:  # noqa: ANN401 - as stored
    return {str(key): vector for key, vector in enumerate(numbers, start=2)}


@pytest.mark.parametrize(
    ("metric", "score", "vector", "other"),
    [
        (Metric.DISTANCE, 0.0, [3.0, 4.0], [3.0, 4.0]),
        (Metric.COSINE, 1.0, [3.0, 4.0], [6.0, 8.0]),
        (Metric.INNER_PRODUCT, 25.0, [3.0, 4.0], [3.0, 4.0]),
        (Metric.COSINE, 1.0, [[1.0], [2.0]], [[1.0], [2.0]]),
        (
            Metric.INNER_PRODUCT,
            1.25,
            {"indices": [7, 3], "values": [1.0, 0.5]},
            {"indices": [3, 7], "values": [0.5, 1.0]},
        ),
    ],
)
def test_of_many_equal_vectors_any_may_be_first(
    metric: Metric,
    score: float,
    vector: Any,  # noqa: ANN401 - as stored
    other: Any,  # noqa: ANN401 - as stored
) -> None:
    full = search(*((str(key), score) for key in range(2, 7)))
    assert not full.found
    checked(judged(full, vector, vectors(*[other] * 5), metric))


def test_another_vector_that_ties_is_no_reason_to_call_it_found() -> None:
    full = search(*((str(key), 0.5) for key in range(2, 7)))
    for metric in (Metric.DISTANCE, Metric.COSINE):
        with pytest.raises(Mismatch):
            checked(judged(full, [3.0, 4.0], vectors(*[[4.0, 3.0]] * 5), metric))


def test_by_the_inner_product_a_longer_vector_may_be_first_and_golden_neighbours_decide() -> None:
    outdone = judged(search(("2", 9.0), ("1", 1.0)), [1.0, 0.0], vectors([9.0, 0.0]), Metric.INNER_PRODUCT)
    checked(outdone)
    with pytest.raises(Mismatch, match=r"neighbours in files of vectors: expected those .* observed query 1"):
        checked(outdone, lambda _: ["query 1"])


def test_an_inner_product_below_the_vectors_own_is_red() -> None:
    stale = judged(search(("2", 0.4), ("3", 0.3)), [1.0, 0.0], vectors([0.4, 0.0]), Metric.INNER_PRODUCT)
    with pytest.raises(Mismatch, match="expected 1 among the best hits, observed 2"):
        checked(stale)


def test_a_longer_vector_excuses_no_other_metric() -> None:
    for metric in (Metric.DISTANCE, Metric.COSINE):
        with pytest.raises(Mismatch):
            checked(judged(search(("2", 9.0), ("1", 1.0)), [1.0, 0.0], vectors([0.0, 9.0]), metric))
