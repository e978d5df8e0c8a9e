"""The emergency rollback on the real stack: it accounts for all later records, and is verified.

`test_respond.py` kills one while it runs.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ExitCode
from rollproof.git.repository import head
from rollproof.profile.profile import Target
from rollproof.record_names import ACCOUNTS, LOST_WINDOW
from rollproof.stores.kafka.admin import Admin
from staging.kills.kill import Action, Killer, Undisturbed
from staging.kills.wreckage import STORES, wreck_code, wreck_service
from staging.stack.stack import Stack
from staging.target.operators import Operators
from tests.stack.kafka_scratch import made_record
from tests.stack.verifier import Verifier, expect

# Many commands one after the other, on a machine that others use too.
pytestmark = [pytest.mark.timeout(2400), pytest.mark.usefixtures("settled")]
SCRIPT = "rollback/emergency_rollback.sh"
STEP_SECONDS = 180
KAFKA_SECONDS = 60.0
BUCKET, TOPIC = "minio-file", "task_generation"
POINT = 900_001
# What there is of each store besides what it lost, by the plan's own words. A log keeps what came since, so
# that there is more of it after each rollback.
WRITTEN = {
    "mysql": "1 new, 1 changed, 1 deleted",
    "mongodb": "1 new, 0 changed, 1 deleted",
    "qdrant": "1 new, 0 changed, 0 deleted",
    "minio": "1 new, 1 changed, 1 deleted",
}
CHANGES = {
    "mysql": ["changed", "new"],
    "mongodb": ["new"],
    "redis": ["new"],
    "qdrant": ["new"],
    "milvus": ["new"],
    "minio": ["changed", "new"],
}


@pytest.fixture(scope="module")
def commit(stack: Stack) -> str:
    """The commit that is backed up and rolled back to."""
    return head(stack.state.application)


@dataclass
class Wreckage:
    """Every store has lost something and holds something that was written since; a service is another one.

    `gone` are the records that were lost of stores that lost all of something; `plan` is what was said then,
    and `other` a collection of Milvus that was written to.
    """

    verifier: Verifier
    operators: Operators
    gone: dict[str, int] = field(default_factory=dict)
    plan: str = ""
    other: str = ""

    def wreck(self) -> Mapping[str, frozenset[str]]:
        """Make it; return the keys of what was written, where a store gives the same ones each time."""
        sql, database = self.operators.sql, self.operators.mongodb["mongodb"]
        ((changed,),) = sql("SELECT id FROM users WHERE username <> 'canary' ORDER BY id LIMIT 1")
        sql("DELETE FROM users WHERE username <> 'canary' ORDER BY id DESC LIMIT 1")
        sql("UPDATE users SET email = 'x@example.org' WHERE id = %s", (changed,))
        sql("INSERT INTO users (username, email, hashed_password) VALUES ('newcomer', 'n', '-')")
        ((newcomer,),) = sql("SELECT id FROM users WHERE username = 'newcomer'")
        sql("CREATE TABLE IF NOT EXISTS consolidated (number int)")
        database["conversations"].insert_one({"_id": "since", "turns": [{"text": "a\nb"}]})
        database["files"].delete_one({"filename": {"$ne": "lamp.txt"}})
        self.gone["redis"] = self.operators.redis.dbsize()
        self.operators.redis.flushdb()
        self.operators.redis.set("token:since", b"\x00\xff", ex=3600)
        self._add_point()
        self._wreck_milvus()
        self._wreck_objects()
        self._append_task()
        wreck_service(self.verifier.stack, "frontend")
        wreck_code(self.verifier.stack)
        if not self.plan:
            done = self.verifier.actions("plan", "--corrupt")
            assert done.returncode == ExitCode.VERIFIED, done.stderr
            self.plan = done.stdout
        # What nobody can read holds what was written all the same.
        self.operators.milvus.release_collection(self.other)
        return {
            "mysql": frozenset({str(changed), str(newcomer)}),
            "mongodb": frozenset({'"since"'}),
            "redis": frozenset({"token:since"}),
            "qdrant": frozenset({str(POINT)}),
        }

    def _add_point(self) -> None:
        path, question = "/collections/files/points", {"limit": 1, "with_vector": True, "with_payload": False}
        answer: Any = self.operators.qdrant.call("POST", f"{path}/scroll", question)
        point = {"id": POINT, "vector": answer["points"][0]["vector"], "payload": {"file_id": "since"}}
        self.operators.qdrant.call("PUT", f"{path}?wait=true", {"points": [point]})

    def _wreck_milvus(self) -> None:
        milvus = self.operators.milvus
        names = [name for name in sorted(milvus.list_collections()) if "canary" not in name]
        self.gone["milvus"] = self.verifier.baseline.facts.stores["milvus"].counts[names[0]]
        milvus.drop_collection(names[0])
        self.other = names[-1]
        row = milvus.query(names[-1], filter="page_number >= 0", output_fields=["*"], limit=1)[0]
        # The proxy's own key is made anew; a page of another number is another record.
        milvus.insert(names[-1], {**{k: v for k, v in row.items() if k != "pk"}, "page_number": 4242})
        milvus.flush(names[-1])

    def _wreck_objects(self) -> None:
        s3 = self.operators.s3
        s3.put_object(BUCKET, "since.txt", io.BytesIO(b"written since"), 13)
        names = [str(item.object_name) for item in s3.list_objects(BUCKET, recursive=True)]
        first, *others = [name for name in names if "canary" not in name and name != "since.txt"]
        s3.put_object(BUCKET, first, io.BytesIO(b"overwritten"), 11)
        s3.remove_object(BUCKET, others[0])

    def _append_task(self) -> None:
        """Append a record to a log, and wait until a reader is told of it: the broker tells its end late."""
        reach, value = self.operators.kafka, f"since {time.time_ns()}".encode()
        give_up = time.monotonic() + KAFKA_SECONDS
        with Admin(reach) as admin:
            admin.produce(TOPIC, [made_record(0, None, value)], reach.start())
            topics = admin.topics([TOPIC])
            while not any(m.value == value for m in admin.every_record(topics, reach.start())):
                assert time.monotonic() < give_up, "the broker tells nobody of the record"


@pytest.fixture(scope="module")
def wreckage(verifier: Verifier, operators: Operators) -> Wreckage:
    return Wreckage(verifier, operators)


@pytest.fixture(scope="module")
def undisturbed(killer: Killer, wreckage: Wreckage, commit: str) -> Undisturbed:
    """A rollback of that wreckage, after which all that the baseline holds is as it was."""
    request = ("rollback", "emergency", commit[:10])
    return killer.undisturbed(Action("emergency", request, wreckage.wreck, tuple(STORES)))


def _lines(incident: Path, store: str) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for file in sorted((incident / LOST_WINDOW / store).glob("*.jsonl"))
        if file.name != "revived.jsonl"
        for line in file.read_text().splitlines()
    ]


def _revived(incident: Path, store: str) -> list[str]:
    lines = (incident / LOST_WINDOW / store / "revived.jsonl").read_text().splitlines()
    return [json.loads(line)["collection"] for line in lines]


@pytest.mark.long(minutes=2)
def test_every_record_that_was_written_since_is_exported_and_accounted_for(
    verifier: Verifier, wreckage: Wreckage, undisturbed: Undisturbed
) -> None:
    for store, counted in WRITTEN.items():
        assert f"lost:   {store}: {counted}" in wreckage.plan, wreckage.plan
    tasks = re.search(r"lost:   kafka: (\d+) new, 0 changed, 0 deleted", wreckage.plan)
    assert tasks is not None, wreckage.plan
    for store in ("redis", "milvus"):
        assert re.search(rf"lost:   {store}: 1 new, 0 changed, [1-9]\d* deleted", wreckage.plan), (
            wreckage.plan
        )

    incident = verifier.folder / "incidents" / undisturbed.incident
    records = json.loads((incident / "rollback.json").read_text())["records"]
    gone = wreckage.gone["redis"] + wreckage.gone["milvus"]
    # A row, a document and an object besides. What came to the log since is exported, and is there.
    counts = {"restored": 2, "exported": 8, "revived": gone + 3, "unaccounted": 0}
    assert {name: count for name, count in records.items() if name != "kept"} == counts
    assert records["kept"] > 1000
    accounts = json.loads((incident / LOST_WINDOW / ACCOUNTS).read_text())
    assert not any(account["unknown"] for account in accounts.values()), accounts
    found = {store: _lines(incident, store) for store in accounts}
    changes = {store: sorted(line["change"] for line in lines) for store, lines in found.items()}
    assert changes == {**CHANGES, "kafka": ["new"] * int(tasks[1])}
    assert "newcomer" in json.dumps(found["mysql"])
    assert any(line["key"].endswith("since.txt") for line in found["minio"])
    assert _revived(incident, "mysql") == ["imagedb.users"]
    assert _revived(incident, "mongodb") == ["mongodb.files"]
    assert ((incident / LOST_WINDOW).stat().st_mode & 0o777) == 0o700


@pytest.mark.long(minutes=1)
def test_it_is_verified(
    verifier: Verifier, undisturbed: Undisturbed, target: Target, engine: ContainerEngine
) -> None:
    folder = verifier.folder / "incidents" / undisturbed.incident
    expect(verifier.run("verification", incident=folder.name), {})
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["verdict"] == "passed"
    assert verdict["rollback"]["verdict"] == "passed"
    assert verdict["rto_seconds"] >= verdict["rollback"]["seconds"]
    assert set(verdict["phases"]) == {"phase1", "phase2", "phase3", "phase4"}
    assert verdict["records"] == json.loads((folder / "rollback.json").read_text())["records"]
    # What the tags mean is what runs: the next `docker compose up` changes nothing.
    for service in target.application.services:
        (container,) = engine.containers()[service]
        assert _id(f"{verifier.stack.project}/{_image(service)}:current") == container.image_id


def _image(service: str) -> str:
    return "backend" if service == "worker" else service


def _id(tag: str) -> str:
    command = ["docker", "image", "inspect", "--format={{.Id}}", tag]
    done = subprocess.run(command, capture_output=True, text=True, timeout=STEP_SECONDS, check=True)
    return done.stdout.strip()


def test_a_damaged_backup_is_refused_before_its_store_is_touched(
    verifier: Verifier, backup: Path, commit: str
) -> None:
    incidents = verifier.folder / "incidents"
    before = sorted(incidents.iterdir())
    victim = max((backup / "mysql").iterdir(), key=lambda path: path.stat().st_size)
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-1])
    try:
        done = verifier.script(SCRIPT, commit[:10])
    finally:
        victim.write_bytes(whole)
    assert done.returncode == ExitCode.FAILED, done.stderr
    assert victim.name in done.stderr
    assert "HINT: " in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(incidents.iterdir()) == before
