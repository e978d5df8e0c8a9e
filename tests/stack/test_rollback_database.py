"""Rollbacks of one store on the real stack: its data is the backup's, every other store is as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fixtures.engines.engine import ContainerEngine
from fixtures.errors import ExitCode
from fixtures.incident import UNFINISHED
from fixtures.journal import verify_journal
from fixtures.target import Target
from staging.operators import Operators, undone
from tests.stack.verifier import Verifier


@pytest.fixture(scope="module", autouse=True)
def backup(verifier: Verifier) -> Path:
    """A backup set of the stack as it is, and the baseline that is compared with."""
    return verifier.back_up()


def _damage_mysql(operators: Operators) -> None:
    operators.sql("DELETE FROM imagedb.users WHERE username <> 'canary' LIMIT 3")
    operators.sql("UPDATE imagedb.users SET email = CONCAT('x', email) WHERE username <> 'canary' LIMIT 2")
    operators.sql("CREATE TABLE imagedb.consolidated (number int)")


def _damage_mongodb(operators: Operators) -> None:
    operators.mongodb["mongodb"]["files"].delete_many({"filename": {"$ne": "lamp.txt"}})


def _damage_redis(operators: Operators) -> None:
    operators.redis.flushdb()
    operators.redis.set("token:of-release-2", "x")


def _damage_qdrant(operators: Operators) -> None:
    operators.qdrant.call("DELETE", "/collections/files")


def _redis(operators: Operators) -> dict[bytes, bytes | None]:
    return {key: operators.redis.dump(key) for key in operators.redis.scan_iter()}


@contextmanager
def _written_since(operators: Operators, store: str) -> Iterator[None]:
    """Another store than `store` holds what was written since the backup, and does so at the end."""
    if store == "mongodb":
        # A table of its own: a row of another leaves a counter behind.
        operators.sql("CREATE TABLE written_since (number int PRIMARY KEY)")
        with undone(lambda: operators.sql("DROP TABLE written_since")):
            operators.sql("INSERT INTO written_since VALUES (1)")
            yield
            assert operators.sql("SELECT COUNT(*) FROM written_since") == [(1,)]
        return
    marks = operators.mongodb["mongodb"]["written_since"]
    marks.insert_one({"written": "since"})
    with undone(lambda: operators.mongodb["mongodb"].drop_collection("written_since")):
        yield
        assert marks.count_documents({}) == 1


def _expect_equal(verifier: Verifier) -> None:
    """Assert that every store is as the baseline has it, record by record."""
    compared = verifier.actions("compare", str(verifier.folder / "baselines" / "current"))
    assert compared.returncode == ExitCode.VERIFIED, compared.stdout + compared.stderr


def _expect_one_kept(verifier: Verifier, incident: Path, store: str) -> None:
    """Assert that the safety copy is of that store, once."""
    kept = list((verifier.folder / "backups" / "safety").glob(f"{incident.name}-*"))
    assert [path.name for path in kept] == [f"{incident.name}-01"]
    assert [path.name for path in kept[0].iterdir() if path.is_dir()] == [store]


def _incident(text: str) -> Path:
    return Path(next(line for line in text.splitlines() if line.startswith("incident: "))[10:])


@pytest.mark.parametrize("store", ["mysql", "redis", "qdrant"])
def test_a_store_goes_back_alone(
    verifier: Verifier, operators: Operators, engine: ContainerEngine, target: Target, store: str
) -> None:
    keys, images = _redis(operators), {s: c[0].image_id for s, c in engine.containers().items()}
    with _written_since(operators, store):
        {"mysql": _damage_mysql, "redis": _damage_redis, "qdrant": _damage_qdrant}[store](operators)
        plan = verifier.actions("plan", "--store", store)
        assert f"lost: what was written to {store} since the backup of 20" in plan.stdout, plan.stderr
        done = verifier.script(f"rollback/db_{store}.sh")
        assert done.returncode == ExitCode.VERIFIED, done.stderr
        incident = _incident(done.stdout)
        restored = [
            record["step"]
            for record in verify_journal(incident / "journal.jsonl")
            if record["event"] == "ended" and record["step"].startswith("restore ")
        ]
        assert restored == [f"restore {store}"]
    _expect_one_kept(verifier, incident, store)
    _expect_equal(verifier)
    if store == "redis":
        assert _redis(operators) == keys
    now = engine.containers()
    assert {service: found[0].image_id for service, found in now.items()} == images
    assert all(now[service][0].health == "healthy" for service in target.application.services)


def test_a_database_that_was_dropped_comes_back_and_is_accounted_for(
    verifier: Verifier, operators: Operators
) -> None:
    ((users,),) = operators.sql("SELECT COUNT(*) FROM imagedb.users")
    operators.sql("DROP DATABASE imagedb")
    done = verifier.script("rollback/db_mysql.sh")
    assert done.returncode == ExitCode.VERIFIED, done.stderr
    records = json.loads((_incident(done.stdout) / "rollback.json").read_text())["records"]
    revived = records.pop("revived")
    assert records == {"kept": 0, "restored": 0, "exported": 0, "unaccounted": 0}
    assert revived >= users > 0
    _expect_equal(verifier)


def test_one_that_is_killed_is_gone_on_with(verifier: Verifier, operators: Operators) -> None:
    with _written_since(operators, "mongodb"):
        _damage_mongodb(operators)
        incident = verifier.killed("rollback/db_mongodb.sh", at="restore mongodb")
        status = verifier.actions("rollback", "status")
        assert status.returncode == ExitCode.BROKEN, status.stderr
        assert "cut off  restore mongodb" in status.stdout
        assert "rollback resume" in status.stdout.splitlines()[-1]
        # Nothing else is taken for the same, or started on data that is half restored.
        for other in (("database", "mysql"), ("service", "frontend")):
            refused = verifier.actions("rollback", *other)
            assert refused.returncode == ExitCode.USAGE, refused.stdout
            assert incident.name in refused.stderr
        assert "rollback resume --take-over" in verifier.actions("card").stdout
        done = verifier.actions("rollback", "resume", "--take-over")
        assert done.returncode == ExitCode.VERIFIED, done.stderr
        assert _incident(done.stdout) == incident
    assert not (incident / UNFINISHED).exists()
    _expect_one_kept(verifier, incident, "mongodb")
    _expect_equal(verifier)
    assert verifier.actions("rollback", "resume").returncode == ExitCode.USAGE
