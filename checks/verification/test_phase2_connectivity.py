"""Phase 2, 2-3 min: the health endpoint answers and tells the truth, every store answers with real data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from fixtures.baseline import Baseline
from fixtures.errors import Mismatch, Problem, listed
from fixtures.evidence import Saw
from fixtures.recorded import RecordedStore
from fixtures.rounds import Wrong, answer_of
from fixtures.stores.view import Answer, Search
from fixtures.target import Target

if TYPE_CHECKING:
    from fixtures.application import HealthAnswer

pytestmark = [pytest.mark.verification, pytest.mark.phase2]


def test_health_endpoint_says_it_is_up(health: HealthAnswer, target: Target, saw: Saw) -> None:
    """Status and content are those of a healthy application."""
    expected = target.application.health.expect
    body = health.body if isinstance(health.body, dict) else {}
    observed = {key: body.get(key) for key in expected}
    saw(f"200 {expected}", f"{health.status_code} {observed}")
    if health.status_code != 200 or observed != expected:  # noqa: PLR2004 - HTTP's own number
        raise Mismatch(
            what="health endpoint",
            expected=f"200 {expected}",
            observed=f"{health.status_code} {observed}",
            source=target.application.health.path,
            hint="see the log of the application's containers",
        )


def test_health_endpoint_is_quick(health_latency: float, target: Target, saw: Saw) -> None:
    """The health endpoint answers within its latency limit."""
    limit = target.application.health.latency_milliseconds
    saw(f"below {limit} ms", f"{health_latency:.0f} ms")
    if health_latency >= limit:
        raise Mismatch(
            what="latency of the health endpoint",
            expected=f"below {limit} ms",
            observed=f"{health_latency:.0f} ms, the median of three",
            source=target.application.health.path,
            hint="a worker may be blocked by a store that does not answer",
        )


def test_interface_is_the_recorded_one(interface: str, baseline: Baseline, saw: Saw) -> None:
    """What the application offers, its OpenAPI document, is what it offered: so is what answers."""
    saw(f"SHA-256 {baseline.facts.interface or 'none'}", interface or "none")
    if interface != baseline.facts.interface:
        raise Mismatch(
            what="interface of the application",
            expected=f"SHA-256 {baseline.facts.interface or 'none'}",
            observed=interface or "none",
            source="its OpenAPI document",
            hint="another release answers, whatever the images say: see what is behind the address",
        )


def test_store_answers(
    store: str,
    recorded_store: RecordedStore,
    store_answers: Mapping[str, Answer | Wrong],
    saw: Saw,
) -> None:
    """The store answers an authenticated query that touches real data, where there was data."""
    answer = answer_of(store_answers, store)
    saw("an answer with real data", f"{answer.records} records in {answer.collection} ({answer.query})")
    if not answer.records and any(recorded_store.counts.values()):
        raise Mismatch(
            what=f"store {store}",
            expected="records in the collection that was asked",
            observed=f"none in {answer.collection}",
            source=answer.query,
            hint="the store is up and empty: its data was not restored",
        )


@pytest.mark.usefixtures("baseline")
def test_vectors_are_loaded(vectors: str, load_states: Mapping[str, str | Wrong], saw: Saw) -> None:
    """Every vector collection that held vectors is loaded, so that it can be searched."""
    store, name = vectors.split("/", 1)
    state = answer_of(load_states, vectors)
    saw("loaded", state)
    if state != "loaded":
        raise Mismatch(
            what=f"collection {name} of {store}",
            expected="loaded",
            observed=state,
            source=store,
            hint="load it: a collection that is not loaded answers no search",
        )


@pytest.mark.usefixtures("baseline")
def test_vectors_answer_a_search(
    vectors: str, searches: Mapping[str, Search | Wrong | None], saw: Saw
) -> None:
    """A search for a stored vector finds the record that it belongs to, first."""
    store, name = vectors.split("/", 1)
    search = answer_of(searches, vectors)
    if search is None:
        raise Mismatch(
            what=f"collection {name} of {store}",
            expected="vectors, as in the baseline",
            observed="none",
            source=store,
            hint="the collection was created again and is empty: restore it",
        )
    best = max((hit.score for hit in search.hits), default=None)
    first = [hit.key for hit in search.hits if hit.score == best]
    saw(f"{search.probe} among the best hits", ", ".join(first) or "no hit")
    if search.probe not in first:
        raise Mismatch(
            what=f"search in {name} of {store} for the vector of {search.probe}",
            expected=f"{search.probe} among the best hits",
            observed=", ".join(hit.key for hit in search.hits) or "no hit",
            source=store,
            hint="the index does not fit the vectors: build it again",
        )


def test_health_endpoint_tells_the_truth(
    health: HealthAnswer, target: Target, store_answers: Mapping[str, Answer | Wrong], saw: Saw
) -> None:
    """A health endpoint that says UP while a store is down is a contradiction: nobody may trust it."""
    down = [
        f"{store} ({wrong.observed})" for store, wrong in store_answers.items() if isinstance(wrong, Problem)
    ]
    expected = target.application.health.expect
    says_up = isinstance(health.body, dict) and all(health.body.get(k) == v for k, v in expected.items())
    saw(
        "UP, and every store up",
        f"{'UP' if says_up else 'not UP'}, and {f'down: {listed(down)}' if down else 'every store up'}",
    )
    if down and says_up:
        raise Mismatch(
            what="contradiction",
            expected="a health endpoint that is not UP while a store is down",
            observed=f"{expected}, with these stores down: {'; '.join(down)}",
            source=target.application.health.path,
            hint="bring the stores up; do not use this endpoint to decide anything",
        )
    if down:
        raise Mismatch(
            what="stores",
            expected="all up",
            observed=f"down: {'; '.join(down)}",
            source="their own answers",
            hint="bring the stores up",
        )
