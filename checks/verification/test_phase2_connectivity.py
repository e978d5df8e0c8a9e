"""Phase 2, 2-3 min: the health endpoint answers truthfully, every store answers with real data."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

import pytest

from fixtures.gating.evidence import Expect
from fixtures.stores import Answers
from rollproof.application.client import ApplicationClient
from rollproof.baseline.facts import RecordedStore
from rollproof.baseline.folder import Baseline
from rollproof.collection import Case
from rollproof.errors import Meaning
from rollproof.profile.profile import Target
from rollproof.stores.contract import LOADED
from rollproof.system.http import Answer
from rollproof.system.side_by_side import answer_of

pytestmark = [pytest.mark.verification, pytest.mark.phase2]


def test_health_endpoint_says_it_is_up(health: Answer, target: Target, expect: Expect) -> None:
    """Status and content are a healthy application's."""
    up = target.application.health.expect
    said = health.said(up)
    expect(health.status == HTTPStatus.OK and said == up,
           what="health endpoint", means=Meaning.SERVICE_DOWN,
           expected=f"{HTTPStatus.OK:d} {up}", observed=f"{health.status} {said}",
           source=target.application.health.path, hint="see the log of the application's containers")


def test_health_endpoint_is_quick(health_latency: float, target: Target, expect: Expect) -> None:
    """The health endpoint answers within its latency limit."""
    endpoint = target.application.health
    expect(health_latency < endpoint.latency_milliseconds,
           what="latency of the health endpoint", means=Meaning.LATE,
           expected=f"below {endpoint.latency_milliseconds} ms",
           observed=f"{health_latency:.0f} ms, the median of three when the first was late",
           source=endpoint.path, hint="a worker may be blocked by a store that does not answer")


def test_interface_is_the_recorded_one(
    client: ApplicationClient, target: Target, baseline: Baseline, expect: Expect
) -> None:
    """The OpenAPI document is the recorded one, so the recorded release answers."""
    interface = client.interface_digest() if target.application.interface else ""
    expect(interface == baseline.facts.interface,
           what="interface of the application", means=Meaning.WRONG_VERSION,
           expected=f"SHA-256 {baseline.facts.interface or 'none'}", observed=interface or "none",
           source="its OpenAPI document",
           hint="another release answers, whatever the images say: see what is behind the address")


def test_first_page_answers(client: ApplicationClient, expect: Expect) -> None:
    """The address of the first page answers without a server's error."""
    status = client.page_status()
    expect(status,
           what="first page", means=Meaning.SERVICE_DOWN,
           expected="an answer that is no server's error", instead="a server's error, or none",
           source="GET /", hint="see what is behind the address, and its log")


def test_first_page_is_the_recorded_one(
    client: ApplicationClient, baseline: Baseline, expect: Expect
) -> None:
    """The first page that users load is, byte for byte, the recorded one."""
    first_page = client.page_digest()
    expect(first_page == baseline.facts.page,
           what="first page", means=Meaning.WRONG_VERSION,
           expected=f"SHA-256 {baseline.facts.page}", observed=first_page or "no page",
           source="GET /",
           hint="another release of the frontend answers, or none: see what is behind the address")


def test_store_answers(
    store: str, recorded_store: RecordedStore, store_answers: Answers, expect: Expect
) -> None:
    """The store answers an authenticated query that touches real data, if it held data."""
    answer = answer_of(store_answers, store)
    expect(answer.records or not any(recorded_store.counts.values()),
           what=f"store {store}", means=Meaning.DATA_LOSS,
           expected="records in the collection that was asked",
           observed=f"{answer.records or 'none'} in {answer.collection}",
           source=answer.query, hint="the store is up and empty: its data was not restored")


def test_vectors_are_loaded(vectors: Case, load_state: str, expect: Expect) -> None:
    """Every vector collection that held vectors is loaded, so that it can be searched."""
    expect(load_state == LOADED,
           what=f"collection {vectors}", means=Meaning.SERVICE_DOWN,
           expected=LOADED, observed=load_state,
           source=vectors.store, hint="load it: only a loaded collection answers searches")


def test_vectors_answer_a_search(vectors: Case, search: Sequence[str], expect: Expect) -> None:
    """A search for a stored vector finds records."""
    expect(search,
           what=f"search in {vectors} for a stored vector", means=Meaning.DATA_CHANGED,
           expected="at least one hit", observed=f"{len(search)} hits",
           source=vectors.store, hint="the index lacks the vectors: build it again")


def test_health_endpoint_tells_the_truth(
    health: Answer, target: Target, stores_down: Sequence[str], expect: Expect
) -> None:
    """No store is down, whatever the health endpoint says: one that says UP then cannot be trusted."""
    expect(not stores_down,
           what="stores behind the health endpoint", means=Meaning.SERVICE_DOWN,
           expected="all up", instead=f"down, while it says {health.said(target.application.health.expect)}: "
                                      f"{'; '.join(stores_down)}",
           source=target.application.health.path,
           hint="bring the stores up; decide nothing by an endpoint that is UP meanwhile")
