"""Rollbacks of one store on the real stack: it holds the data of the backup; all others are unchanged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ExitCode
from rollproof.incident.journal import verify_journal
from rollproof.incident.journal_steps import Step, StepId, steps_in
from rollproof.profile.profile import Target
from staging.target.operators import Operators, undone
from tests.stack.container_faults import Containers
from tests.stack.scratch_project import docker
from tests.stack.users import User
from tests.stack.verifier import Verifier

# Many commands one after the other, on a machine that others use too.
pytestmark = [pytest.mark.timeout(2400), pytest.mark.usefixtures("whole", "settled")]


def _redis(operators: Operators) -> dict[bytes, bytes | None]:
    return {key: operators.redis.dump(key) for key in operators.redis.scan_iter()}


@contextmanager
def _written_since(operators: Operators) -> Iterator[None]:
    """Another store holds what was written since the backup, and does so at the end."""
    marks = operators.mongodb["mongodb"]["written_since"]
    marks.insert_one({"written": "since"})
    with undone(lambda: operators.mongodb["mongodb"].drop_collection("written_since")):
        yield
        assert marks.count_documents({}) == 1


def _expect_alone(verifier: Verifier, incident: Path, store: str) -> None:
    """Assert that this store alone was restored, and kept once before that."""
    steps, _ = steps_in(verify_journal(incident / "journal.jsonl"))
    restored = [step.id for step in steps if step.id and step.id.step is Step.RESTORE and step.end]
    assert restored == [StepId(Step.RESTORE, store)]
    kept = list((verifier.folder / "backups" / "safety").glob(f"{incident.name}-*"))
    assert [path.name for path in kept] == [f"{incident.name}-01"]
    assert [path.name for path in kept[0].iterdir() if path.is_dir()] == [store]


@pytest.mark.long(minutes=1)
def test_a_store_goes_back_alone_and_users_are_told_to_come_again_and_nothing_else(
    verifier: Verifier, operators: Operators, engine: ContainerEngine, target: Target
) -> None:
    keys, images = _redis(operators), {s: c[0].image_id for s, c in engine.containers().items()}
    user = User(target)
    with _written_since(operators):
        operators.redis.flushdb()
        operators.redis.set("token:of-release-2", "x")
        plan = verifier.actions("plan", "--store", "redis")
        assert "lost: what was written to redis since the backup of 20" in plan.stdout, plan.stderr
        with user.asking():
            done = verifier.script("rollback/db_redis.sh")
        assert done.returncode == ExitCode.VERIFIED, done.stderr
    _expect_alone(verifier, verifier.incident_of(done.stdout), "redis")
    assert _redis(operators) == keys
    assert user.told("JSON") == ["200, JSON", "503, come again, JSON", "200, JSON"]
    assert user.told("page") == ["200, page", "503, come again, page", "200, page"]
    assert len(user.answers) == sum(one.endswith(("JSON", "page")) for one in user.answers)
    assert "see that nothing wrote meanwhile: nobody at the containers, redis" in done.stderr
    now = engine.containers()
    assert {service: found[0].image_id for service, found in now.items()} == images
    assert all(now[service][0].health == "healthy" for service in target.application.services)


@pytest.mark.long(minutes=1)
def test_a_store_that_is_down_is_started_and_one_that_cannot_tell_who_writes_is_named(
    verifier: Verifier, operators: Operators, containers: Containers
) -> None:
    operators.qdrant.call("DELETE", "/collections/files")
    docker("stop", containers.of("qdrant").id)
    done = verifier.script("rollback/db_qdrant.sh")
    assert done.returncode == ExitCode.VERIFIED, done.stderr
    _expect_alone(verifier, verifier.incident_of(done.stdout), "qdrant")
    assert "nobody at the containers; blind at qdrant" in done.stderr


@pytest.mark.long(minutes=1)
def test_a_database_that_was_dropped_comes_back_and_is_accounted_for(
    verifier: Verifier, operators: Operators
) -> None:
    ((users,),) = operators.sql("SELECT COUNT(*) FROM imagedb.users")
    operators.sql("DROP DATABASE imagedb")
    done = verifier.script("rollback/db_mysql.sh")
    assert done.returncode == ExitCode.VERIFIED, done.stderr
    records = json.loads((verifier.incident_of(done.stdout) / "rollback.json").read_text())["records"]
    revived = records.pop("revived")
    assert records == {"kept": 0, "restored": 0, "exported": 0, "unaccounted": 0}
    assert revived >= users > 0
