"""Phase 2 on the real stores and application: each fault turns its own checks red, until it is undone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from fixtures.recorded import Facts
from staging.operators import Operators
from tests.stack import container_faults as faults
from tests.stack import damage, milvus_scratch, scratch_buckets
from tests.stack.container_faults import Containers
from tests.stack.kafka_scratch import Scratch as KafkaScratch
from tests.stack.verifier import Red, Reply, Verifier, expect, small_server, store_facts

HEALTH = ("test_health_endpoint_says_it_is_up", "test_health_endpoint_is_quick")
TRUTH = "test_health_endpoint_tells_the_truth"
INTERFACE = "test_interface_is_the_recorded_one"
SERVICES = {
    "mysql": "mysql",
    "mongodb": "mongodb",
    "redis": "redis",
    "qdrant": "qdrant",
    "minio": "minio",
    "kafka": "kafka-host",
}
SHORT = {f"STORES__{store.upper()}__DEADLINE_SECONDS": "1" for store in SERVICES}
EMPTY = "scratch-empty"
# Where the reader may read.
EMPTY_BUCKET = "minio-file-scratch-empty"
EMPTY_DATABASE = "imagedb_scratch_empty"


def answers(store: str) -> str:
    return f"test_store_answers[{store}]"


def test_a_stack_in_order_is_green(verifier: Verifier) -> None:
    outcome = verifier.run("phase2", "--no-gate")
    expect(outcome, {})
    assert len(outcome.results()) > 30


def test_stores_that_hang_are_broken_and_contradict_the_health_endpoint(
    verifier: Verifier, containers: Containers
) -> None:
    with faults.paused(containers, *SERVICES.values()):
        outcome = verifier.run("phase2", "--no-gate", "-k", "health or store_answers", **SHORT)
    expect(
        outcome,
        {
            **{answers(store): ("broken", f"store {store} as ", "within 1 s") for store in SERVICES},
            TRUTH: (
                "failed",
                "contradiction: expected a health endpoint that is not UP while a store is down",
                "observed {'status': 'UP'}, with these stores down: ",
                *(f"{store} (" for store in SERVICES),
            ),
        },
    )


def test_a_hanging_milvus_in_which_a_chat_would_block(verifier: Verifier, containers: Containers) -> None:
    with faults.hanging_milvus(containers):
        outcome = verifier.run(
            "phase2", "--no-gate", "-k", "health or store_answers", STORES__MILVUS__DEADLINE_SECONDS="2"
        )
    expect(
        outcome,
        {
            answers("milvus"): ("broken", "store milvus as reader", "within 2 s"),
            TRUTH: ("failed", "contradiction", "with these stores down: milvus ("),
        },
    )


def test_a_way_to_the_application_that_is_closed(verifier: Verifier, containers: Containers) -> None:
    names = (*HEALTH, INTERFACE)
    with faults.stopped(containers, "nginx"):
        outcome = verifier.run("phase2", "--no-gate", "-k", "health or interface")
    why = ("broken", "expected ", "ConnectError")
    expect(outcome, dict.fromkeys((*names, TRUTH), why))


def test_an_application_that_is_down_behind_its_proxy(verifier: Verifier, containers: Containers) -> None:
    with faults.stopped(containers, "backend"):
        containers.wait_until("nginx", running=True)
        outcome = verifier.run("phase2", "--no-gate", "-k", "health or interface")
    containers.wait_until("nginx", health="healthy")
    expect(
        outcome,
        {
            HEALTH[0]: ("failed", "expected 200 {'status': 'UP'}, observed 50"),
            INTERFACE: ("failed", "expected a status of success, observed 50"),
        },
    )


def test_an_application_that_is_slow_says_it_is_down_and_has_another_interface(verifier: Verifier) -> None:
    """A small server in place of the application: the real one says UP at once, whatever happens."""

    def answer(_: str, path: str) -> Reply:
        if path.endswith("/health/check"):
            return Reply(json.dumps({"status": "DOWN"}), seconds=1.1)
        return Reply(json.dumps({"openapi": "3.1.0", "paths": {}}))

    with small_server(answer) as address:
        outcome = verifier.run("phase2", "--no-gate", "-k", "health or interface", APPLICATION__URL=address)
    expect(
        outcome,
        {
            HEALTH[0]: ("failed", "expected 200 {'status': 'UP'}, observed 200 {'status': 'DOWN'}"),
            HEALTH[1]: ("failed", "expected below 1000 ms, observed 1"),
            INTERFACE: ("failed", "expected SHA-256 ", "observed "),
        },
    )


def test_vectors_that_are_released_gone_or_found_last(verifier: Verifier, operators: Operators) -> None:
    """The baseline is made to know collections that are empty, and of a metric that misleads."""
    scratch = milvus_scratch.Scratch(operators.milvus, "scratch_")
    released = max(verifier.baseline.facts.stores["milvus"].counts)

    def with_scratch(facts: Facts) -> Facts:
        facts = store_facts(facts, "milvus", {"scratch_empty": 3, "scratch_misled": 2})
        return store_facts(facts, "qdrant", {"scratch_empty": 3, "scratch_misled": 2})

    with ExitStack() as undo:
        undo.callback(scratch.drop)
        scratch.create("empty", 0)
        # By the inner product, the longer vector of the second is nearer to the first than the first itself.
        scratch.insert(scratch.create("misled", 0, metric="IP"), range(1, 3))
        undo.enter_context(damage.points_collection(operators, "scratch_empty", []))
        undo.enter_context(damage.points_collection(operators, "scratch_misled", [[1, 0], [9, 0]]))
        undo.enter_context(damage.vectors_released(operators, released))
        outcome = verifier.run("phase2", "--no-gate", f"--baseline={verifier.restated(with_scratch)}")
    expected: dict[str, Red] = {
        f"test_vectors_are_loaded[milvus/{released}]": ("failed", "expected loaded, observed not loaded"),
        f"test_vectors_answer_a_search[milvus/{released}]": ("broken", "observed error 101: ", released),
    }
    for store in ("milvus", "qdrant"):
        search = f"test_vectors_answer_a_search[{store}"
        expected[f"{search}/scratch_empty]"] = (
            "failed",
            "expected vectors, as in the baseline, observed none",
        )
        words = "for the vector of 1: expected 1 among the best hits, observed 2, 1"
        expected[f"{search}/scratch_misled]"] = ("failed", words)
    expect(outcome, expected)


@pytest.fixture
def empty(operators: Operators) -> Iterator[dict[str, str]]:
    """Something empty in every store, and the profile's keys that point there."""
    with ExitStack() as undo:
        operators.sql(f"CREATE DATABASE {EMPTY_DATABASE}")
        undo.callback(operators.sql, f"DROP DATABASE {EMPTY_DATABASE}")
        operators.sql(f"CREATE TABLE {EMPTY_DATABASE}.nothing (number int)")
        operators.mongodb[EMPTY].create_collection("nothing")
        undo.callback(operators.mongodb.drop_database, EMPTY)
        undo.enter_context(damage.points_collection(operators, EMPTY, []))
        vectors = milvus_scratch.Scratch(operators.milvus, "scratch_")
        undo.callback(vectors.drop)
        vectors.create("empty", 0)
        undo.callback(scratch_buckets.erase, operators.s3, EMPTY_BUCKET)
        scratch_buckets.make(operators.s3, EMPTY_BUCKET, versioned=False)
        topics = KafkaScratch(operators.kafka, EMPTY)
        undo.callback(topics.clear)
        topics.create(EMPTY, 1)
        yield {
            "STORES__MYSQL__DATABASES": json.dumps([EMPTY_DATABASE]),
            "STORES__MONGODB__DATABASES": json.dumps([EMPTY]),
            "STORES__REDIS__DATABASES": "[9]",
            "STORES__REDIS__PATTERNS": "[]",
            "STORES__QDRANT__COLLECTIONS": json.dumps([EMPTY]),
            "STORES__MILVUS__COLLECTIONS": '["scratch_empty"]',
            "STORES__MINIO__BUCKETS": json.dumps([EMPTY_BUCKET]),
            "STORES__KAFKA__TOPICS": json.dumps([EMPTY]),
        }


def test_a_store_that_is_up_and_empty_where_there_was_data(verifier: Verifier, empty: dict[str, str]) -> None:
    outcome = verifier.run("phase2", "--no-gate", "-k", "store_answers or truth", **empty)
    words = ("failed", "expected records in the collection that was asked, observed none in ")
    expect(outcome, {answers(store): (*words, f"store {store}") for store in (*SERVICES, "milvus")})


def test_a_stack_whose_faults_were_taken_back_is_green(verifier: Verifier) -> None:
    expect(verifier.run("phase2", "--no-gate"), {})
