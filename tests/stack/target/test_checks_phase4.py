"""Phase 4 on the real stores: each difference turns its own check red, no other, until it is undone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from rollproof.baseline.facts import Facts
from rollproof.engines.engine import ContainerEngine
from rollproof.profile.profile import Target
from rollproof.stores.registry import open_reader
from staging.target.operators import Operators, undone
from tests.stack import container_faults as faults
from tests.stack import damage
from tests.stack.container_faults import Containers
from tests.stack.scratch_project import docker
from tests.stack.verifier import Verifier, expect, store_facts

# Content, schemas and references have faults of their own: `./run faults`. These are of what is counted.
COUNTED = ("-k", "collection_count or unrecorded_collection or was_compared")


def count_of(store: str, collection: str) -> str:
    return f"test_collection_count[{store}/{collection}]"


def extra_in(store: str) -> str:
    return f"test_store_holds_no_unrecorded_collection[{store}]"


def test_policies_and_what_a_baseline_must_hold(
    verifier: Verifier, operators: Operators, target: Target, engine: ContainerEngine
) -> None:
    """What a log or a bucket of the stack should not be made to show, the baseline is made to say."""
    with open_reader("redis", target.stores["redis"], engine) as redis:
        # Other tests have uploaded files since the capture, whose tasks are still there.
        keys = redis.counts()

    def changed(facts: Facts) -> Facts:
        log = facts.stores["kafka"].counts["task_generation"]
        facts = store_facts(facts, "kafka", {"task_generation": log + 1000, "gone": 3})
        facts = store_facts(facts, "minio", {"minio-file": None, "gone": 3})
        facts = store_facts(facts, "mysql", dict.fromkeys(facts.stores["mysql"].counts, 0))
        facts = store_facts(facts, "redis", keys)
        stores = {name: s for name, s in facts.stores.items() if name != "qdrant"}
        return replace(facts, stores=stores, demands={})

    with damage.redis_command(operators, ["SET", "token:scratch", "x"], ["DEL", "token:scratch"]):
        outcome = verifier.run(
            "phase4",
            "--no-gate",
            *COUNTED,
            f"--baseline={verifier.restated(changed)}",
            STORES__REDIS__POLICY='{"*": "exact"}',
        )
    empty = verifier.baseline.facts.stores["mysql"].counts
    expect(
        outcome,
        {
            count_of("kafka", "task_generation"): ("failed", " records or more, policy grows, observed "),
            count_of("kafka", "gone"): (
                "failed",
                "expected 3 records or more, policy grows, observed no such collection",
            ),
            count_of("minio", "gone"): (
                "failed",
                "expected 3 records, policy exact, observed no such collection",
            ),
            extra_in("minio"): ("failed", "expected none, observed minio-file"),
            count_of("redis", "0:token:*"): ("failed", "(+1)", "policy exact"),
            **{count_of("mysql", name): ("failed", "expected 0 records, policy exact, ") for name in empty},
            "test_store_was_compared[mysql]": ("broken", "expected at least 1, observed 0"),
            "test_store_was_compared[qdrant]": (
                "broken",
                "expected a store of the profile and of the baseline",
            ),
            extra_in("qdrant"): ("broken", "expected a store of the profile and of the baseline"),
        },
    )


def test_without_a_baseline_nothing_that_needs_one_is_green(verifier: Verifier, target: Target) -> None:
    nowhere = {"FOLDERS__BASELINES": str(verifier.folder / "nowhere")}
    outcome = verifier.run("verification", "--no-gate", **nowhere)
    green = (
        "test_disk_of_the_host",
        "test_next_start_is_as_it_runs",
        "test_health_endpoint_says_it_is_up",
        "test_health_endpoint_is_quick",
        "test_health_endpoint_tells_the_truth",
        "test_first_page_answers",
        "test_login",
        "test_wrong_password_is_refused",
        "test_stale_token_is_refused",
        "test_another_user_is_refused",
        *(f"test_references_of_the_canary[{name}]" for name in target.application.canary.references),
        *(f"test_references[{name}]" for name in target.references),
    )
    results = outcome.results()
    assert {n for n, result in results.items() if result["verdict"] == "passed"} == set(green)
    why = ("broken", "baseline: expected a baseline, observed No such file or directory")
    expect(outcome, {name: why for name in results if name not in green})
    assert outcome.code == 3


LIVE = {
    "STORES__MYSQL__POLICY": json.dumps({"imagedb.users": "grows"}),
    "STORES__MONGODB__POLICY": json.dumps({"mongodb.conversations": "changes", "mongodb.files": "deletes"}),
    "STORES__MONGODB__DELETIONS": json.dumps({"mongodb.files": 20}),
    "STORES__MONGODB__TOUCHED": json.dumps({"mongodb.conversations": "last_modify_at"}),
}


@contextmanager
def conversation_written(operators: Operators, number: int, **fields: object) -> Iterator[None]:
    """A conversation that the baseline holds has other fields; `number` says which."""
    conversations = operators.mongodb["mongodb"]["conversations"]
    before = conversations.find({}, sort=[("_id", 1)])[number]
    at = {"_id": before["_id"]}
    with undone(lambda: conversations.replace_one(at, before)):
        conversations.update_one(at, {"$set": fields})
        yield


@dataclass(frozen=True)
class Mounted:
    """A service of the application has a mount, with two files."""

    services: tuple[str, ...]
    container: str
    held: str

    @property
    def variables(self) -> dict[str, str]:
        """The service and its mount as the profile has them."""
        store = {"kind": "mounts", "risk": "low", "held": [self.held], "together": []}
        services = [*self.services, "scratch"]
        return {"STORES__STATE": json.dumps(store), "APPLICATION__SERVICES": json.dumps(services)}

    def run(self, script: str) -> None:
        """Run `script` in it, as the application would."""
        docker("exec", self.container, "sh", "-c", f"cd {self.held.partition(':')[2]} && {script}")


@pytest.fixture
def mounted(containers: Containers, target: Target) -> Iterator[Mounted]:
    volume = f"{containers.stack.project}_scratch_state"
    with faults.extra_container(containers, "scratch", {volume: "size=1m"}, "true") as name:
        found = Mounted(target.application.services, name, f"scratch:/{volume}")
        found.run("echo one >kept && echo two >lost")
        yield found


@pytest.mark.usefixtures("captured_again")
def test_live_users_are_counted_and_shown_and_what_they_did_not_do_is_red(
    verifier: Verifier, operators: Operators, mounted: Mounted
) -> None:
    """Files of the application in a mount are compared, too: nobody is to change them."""
    live = {**LIVE, **mounted.variables}
    # A profile that asks for less than at the capture would verify nothing.
    verifier.capture(**live)
    content = "test_collection_content[mongodb/mongodb.conversations]"
    newer = {"last_modify_at": datetime.now(UTC), "turns": []}
    mounted.run("echo six >kept && rm lost && chmod 700 .")
    with (
        damage.row_added(operators, "scratchuser"),
        conversation_written(operators, 0, **newer),
        conversation_written(operators, 1, turns=[]),
        damage.document_gone(operators, "files", {}),
    ):
        outcome = verifier.run("phase4", "--no-gate", "-k", "collection or state", **live)
    results = outcome.results()
    assert "1 touched (" in str(results[content]["notes"])
    assert "1 added (" in str(results["test_collection_content[mysql/imagedb.users]"]["notes"])
    assert "1 deleted (" in str(results["test_collection_content[mongodb/mongodb.files]"]["notes"])
    files = f"state/{mounted.held}"
    expect(
        outcome,
        {
            content: ("failed", "policy changes", "1 changed, 1 touched ("),
            count_of("state", mounted.held): ("failed", "expected 2 records, policy exact, observed 1 (-1)"),
            f"test_collection_content[{files}]": (
                "failed",
                "1 missing, 0 added, 1 changed (missing lost; changed kept: content)",
            ),
            f"test_schema[{files}]": ("failed", "1 differences: ", "permissions"),
        },
    )
