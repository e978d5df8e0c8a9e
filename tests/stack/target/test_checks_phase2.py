"""Phase 2 on the real stores and application: each fault turns its own checks red, until it is undone."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from rollproof.baseline.facts import Facts
from rollproof.contract.subject import silent_port
from staging.target.operators import Operators
from tests.stack import container_faults as faults
from tests.stack import damage, milvus_scratch, scratch_buckets
from tests.stack.container_faults import Containers
from tests.stack.kafka_scratch import Scratch as KafkaScratch
from tests.stack.verifier import Verifier, expect, store_facts
from tests.world.application import Exchange, running

HEALTH = ("test_health_endpoint_says_it_is_up", "test_health_endpoint_is_quick")
TRUTH = "test_health_endpoint_tells_the_truth"
PAGE = "test_first_page_is_the_recorded_one"
INTERFACE = "test_interface_is_the_recorded_one"
SERVICES = {
    "mysql": "mysql",
    "mongodb": "mongodb",
    "redis": "redis",
    "qdrant": "qdrant",
    "minio": "minio",
    "kafka": "kafka-host",
}
SHORT = {
    **{f"STORES__{store.upper()}__DEADLINE_SECONDS": "1" for store in SERVICES},
    "STORES__MILVUS__DEADLINE_SECONDS": "2",
}
EMPTY = "scratch-empty"
# Where the reader may read.
EMPTY_BUCKET = "minio-file-scratch-empty"
EMPTY_DATABASE = "imagedb_scratch_empty"


def answers(store: str) -> str:
    return f"test_store_answers[{store}]"


def test_stores_that_hang_are_broken_and_contradict_the_health_endpoint(
    verifier: Verifier, containers: Containers
) -> None:
    """Where Milvus should be, somebody takes connections and never says a word."""
    with silent_port() as port, faults.paused(containers, *SERVICES.values()):
        address = json.dumps({"service": None, "host": "127.0.0.1", "port": port})
        elsewhere = {"STORES__MILVUS__ADDRESS": address}
        outcome = verifier.run("phase2", "--no-gate", "-k", "health or store_answers", **SHORT, **elsewhere)
    expect(
        outcome,
        {
            **{answers(store): ("broken", f"store {store} as ", "within 1 s") for store in SERVICES},
            answers("milvus"): ("broken", "store milvus as reader", "within 2 s"),
            TRUTH: (
                "failed",
                "expected all up, observed down, while it says {'status': 'UP'}",
                *(f"{store} (" for store in (*SERVICES, "milvus")),
            ),
        },
    )


def secrets_gone(role: str, *stores: str) -> dict[str, str]:
    """Return the variables by which secrets of accounts of stores cannot be read."""
    return {f"STORES__{store.upper()}__{role}__PASSWORD__FILE": "/nowhere" for store in stores}


def test_a_check_needs_the_secrets_that_it_uses_alone(verifier: Verifier) -> None:
    every = ("mysql", "mongodb", "redis", "milvus")
    canary = {"APPLICATION__CANARY__PASSWORD__FILE": "/nowhere"}
    none = {**secrets_gone("READER", *every), **secrets_gone("OPERATOR", *every), **canary}
    assert verifier.run("phase1", **none).code == 0
    some = {**secrets_gone("OPERATOR", *every), **secrets_gone("READER", "mysql")}
    outcome = verifier.run("phase2", "--no-gate", "-k", "store_answers", **some)
    said = "secret /nowhere: expected a readable secret file, observed No such file or directory"
    expect(outcome, {answers("mysql"): ("broken", said)})


def test_a_way_to_the_application_that_is_closed(verifier: Verifier, containers: Containers) -> None:
    names = (*HEALTH, INTERFACE, PAGE, "test_first_page_answers")
    with faults.stopped(containers, "nginx"):
        outcome = verifier.run("phase2", "--no-gate", "-k", "health or interface or page")
    why = ("broken", "expected ", "ConnectError")
    expect(outcome, dict.fromkeys((*names, TRUTH), why))


def test_an_application_that_is_slow_says_it_is_down_and_has_another_interface(verifier: Verifier) -> None:
    """A small server in place of the application: the real one says UP at once, whatever happens."""

    def answer(exchange: Exchange) -> None:
        if exchange.path.endswith("/health/check"):
            # Work that takes every machine longer than the millisecond that is allowed.
            hashlib.pbkdf2_hmac("sha256", b"", b"", 500_000)
            exchange.reply(200, {"status": "DOWN"})
        else:
            exchange.reply(200, {"openapi": "3.1.0", "paths": {}})

    with running() as served:
        served.answers = defaultdict(lambda: answer)
        outcome = verifier.run(
            "phase2",
            *("--no-gate", "-k", "health or interface or page"),
            APPLICATION__URL=served.url,
            APPLICATION__HEALTH__LATENCY_MILLISECONDS="1",
        )
    expect(
        outcome,
        {
            HEALTH[0]: ("failed", "expected 200 {'status': 'UP'}, observed 200 {'status': 'DOWN'}"),
            HEALTH[1]: ("failed", "expected below 1 ms, observed "),
            INTERFACE: ("failed", "expected SHA-256 ", "observed "),
            PAGE: ("failed", "first page: expected SHA-256 ", "observed "),
        },
    )


@pytest.fixture
def emptied(operators: Operators) -> Iterator[None]:
    """There are collections of vectors that are empty."""
    scratch = milvus_scratch.Scratch(operators.milvus, "scratch_")
    with ExitStack() as undo:
        undo.callback(scratch.drop)
        scratch.create("empty", 0)
        undo.enter_context(damage.points_collection(operators, "scratch_empty"))
        yield


@pytest.mark.usefixtures("emptied")
def test_an_application_that_is_down_and_vectors_that_are_released_or_gone(
    verifier: Verifier, containers: Containers, operators: Operators
) -> None:
    """The application is down behind its proxy; the baseline has records of the empty collections."""
    released = max(verifier.baseline.facts.stores["milvus"].counts)

    def with_scratch(facts: Facts) -> Facts:
        known = {"scratch_empty": 3}
        return store_facts(store_facts(facts, "milvus", known), "qdrant", known)

    baseline = verifier.restated(with_scratch)
    with damage.vectors_released(operators, released), faults.stopped(containers, "backend"):
        containers.wait_until("nginx", running=True)
        outcome = verifier.run("phase2", "--no-gate", f"--baseline={baseline}")
    containers.wait_until("nginx", health="healthy")
    search = "test_vectors_answer_a_search"
    expect(
        outcome,
        {
            HEALTH[0]: ("failed", "expected 200 {'status': 'UP'}, observed 50"),
            INTERFACE: ("failed", "expected a status of success, observed 50"),
            f"test_vectors_are_loaded[milvus/{released}]": (
                "failed",
                "expected loaded, observed not loaded",
            ),
            f"{search}[milvus/{released}]": ("broken", "observed error 101: ", released),
            **dict.fromkeys(
                (f"{search}[{store}/scratch_empty]" for store in ("milvus", "qdrant")),
                ("failed", "expected vectors, as in the baseline, observed none"),
            ),
        },
    )


@pytest.fixture
def empty(operators: Operators) -> Iterator[dict[str, str]]:
    """Something empty in every store, and the profile's keys that point there."""
    with ExitStack() as undo:
        operators.sql(f"CREATE DATABASE {EMPTY_DATABASE}")
        undo.callback(operators.sql, f"DROP DATABASE {EMPTY_DATABASE}")
        operators.sql(f"CREATE TABLE {EMPTY_DATABASE}.nothing (number int)")
        operators.mongodb[EMPTY].create_collection("nothing")
        undo.callback(operators.mongodb.drop_database, EMPTY)
        undo.enter_context(damage.points_collection(operators, EMPTY))
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
