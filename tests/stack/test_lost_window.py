"""What was written since a backup, on the real stores: counted by the plan, exported, accounted for."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from fixtures.errors import ExitCode
from fixtures.git import head
from fixtures.stores.kafka import settings
from rollback_actions.losses import ACCOUNTS
from rollback_actions.lost_window import FOLDER
from staging.operators import Operators
from staging.stack import Stack
from tests.stack.verifier import Verifier

BUCKET, TOPIC = "minio-file", "task_generation"
POINT = 900_001


@pytest.fixture(scope="module")
def backup(verifier: Verifier) -> Path:
    """A backup set of the stack as it is, and the baseline that is compared with."""
    return verifier.back_up()


def _write(operators: Operators) -> None:
    """Write to every store: something new, and to some something changed or deleted."""
    operators.sql("DELETE FROM users WHERE username <> 'canary' ORDER BY id DESC LIMIT 1")
    operators.sql("UPDATE users SET email = 'x@example.org' WHERE username <> 'canary' ORDER BY id LIMIT 1")
    operators.sql("INSERT INTO users (username, email, hashed_password) VALUES ('newcomer', 'n', '-')")
    operators.mongodb["mongodb"]["conversations"].insert_one({"_id": "since", "turns": [{"text": "a\nb"}]})
    operators.mongodb["mongodb"]["files"].delete_one({"filename": {"$ne": "lamp.txt"}})
    operators.redis.set("token:since", b"\x00\xff", ex=3600)
    point = {"id": POINT, "vector": _vector(operators), "payload": {"file_id": "since"}}
    operators.qdrant.call("PUT", "/collections/files/points?wait=true", {"points": [point]})
    collection = max(operators.milvus.list_collections())
    row = operators.milvus.query(collection, filter="page_number >= 0", output_fields=["*"], limit=1)[0]
    # The proxy's own key is made anew; a page of another number is another record.
    operators.milvus.insert(collection, {**{k: v for k, v in row.items() if k != "pk"}, "page_number": 4242})
    operators.milvus.flush(collection)
    operators.s3.put_object(BUCKET, "since.txt", io.BytesIO(b"written since"), 13)
    first = next(iter(operators.s3.list_objects(BUCKET, recursive=True)))
    operators.s3.put_object(BUCKET, str(first.object_name), io.BytesIO(b"overwritten"), 11)
    producer = Producer(settings(operators.kafka))
    producer.produce(TOPIC, value=b"since", partition=0)
    assert producer.flush(30) == 0


def _vector(operators: Operators) -> Any:  # noqa: ANN401 - whatever the collection has
    answer = operators.qdrant.call(
        "POST", "/collections/files/points/scroll", {"limit": 1, "with_vector": True, "with_payload": False}
    )
    return answer["points"][0]["vector"]


def _lines(incident: Path, store: str) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for file in sorted((incident / FOLDER / store).glob("*.jsonl"))
        if file.name != "revived.jsonl"
        for line in file.read_text().splitlines()
    ]


def test_every_record_that_was_written_since_is_exported_and_accounted_for(
    verifier: Verifier, backup: Path, stack: Stack, operators: Operators
) -> None:
    assert (backup / "index" / "mysql.json").exists()
    _write(operators)
    time.sleep(6)  # the broker on object storage tells the end of its log late
    plan = verifier.actions("plan", "--corrupt")
    assert plan.returncode == ExitCode.VERIFIED, plan.stderr
    for counted in (
        "mysql: 1 new, 1 changed, 1 deleted",
        "mongodb: 1 new, 0 changed, 1 deleted",
        "redis: 1 new, 0 changed, 0 deleted",
        "qdrant: 1 new, 0 changed, 0 deleted",
        "milvus: 1 new, 0 changed, 0 deleted",
        "minio: 1 new, 1 changed, 0 deleted",
        "kafka: 1 new, 0 changed, 0 deleted",
    ):
        assert f"lost:   {counted}" in plan.stdout, plan.stdout

    done = verifier.script("rollback/emergency_rollback.sh", head(stack.state.application))
    assert done.returncode == ExitCode.VERIFIED, done.stderr
    incident = Path(next(line for line in done.stdout.splitlines() if line.startswith("incident: "))[10:])

    records = json.loads((incident / "rollback.json").read_text())["records"]
    # The log keeps what came since: its record is exported, and is there.
    assert {**records, "kept": 0} == {"kept": 0, "restored": 2, "exported": 8, "revived": 2, "unaccounted": 0}
    assert records["kept"] > 1000
    accounts = json.loads((incident / FOLDER / ACCOUNTS).read_text())
    assert not any(account["unknown"] for account in accounts.values()), accounts
    found = {store: _lines(incident, store) for store in accounts}
    assert {store: sorted(line["change"] for line in lines) for store, lines in found.items()} == {
        "mysql": ["changed", "new"],
        "mongodb": ["new"],
        "redis": ["new"],
        "qdrant": ["new"],
        "milvus": ["new"],
        "minio": ["changed", "new"],
        "kafka": ["new"],
    }
    assert "newcomer" in json.dumps(found["mysql"])
    assert any(line["key"].endswith("since.txt") for line in found["minio"])
    revived = [
        json.loads(line)["collection"]
        for store in ("mysql", "mongodb")
        for line in (incident / FOLDER / store / "revived.jsonl").read_text().splitlines()
    ]
    assert revived == ["imagedb.users", "mongodb.files"]
    assert ((incident / FOLDER).stat().st_mode & 0o777) == 0o700

    compared = verifier.actions("compare", str(verifier.folder / "baselines" / "current"))
    assert compared.returncode == ExitCode.VERIFIED, compared.stdout + compared.stderr
    outcome = verifier.run("verification", "-n2", incident=incident.name)
    assert outcome.code == 0, outcome.text
    verdict = json.loads((incident / "verdict.json").read_text())
    assert verdict["records"] == records
