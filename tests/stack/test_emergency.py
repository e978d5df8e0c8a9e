"""The emergency rollback on the real stack: refused in time, killed, run again, verified."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from fixtures.engines.engine import ContainerEngine
from fixtures.errors import ExitCode
from fixtures.git import head
from fixtures.journal import verify_journal
from fixtures.target import Target
from staging.operators import Operators
from staging.stack import Stack
from tests.stack.verifier import Verifier, expect

SCRIPT = "rollback/emergency_rollback.sh"
STEP_SECONDS = 180


@pytest.fixture(scope="module")
def commit(stack: Stack) -> str:
    """The commit that is backed up and rolled back to."""
    return head(stack.state.application)


@pytest.fixture(scope="module")
def backup(verifier: Verifier, commit: str) -> Path:
    """A complete backup set of the stack as it is, taken by the runbook's own command."""
    folder = verifier.back_up()
    assert json.loads((folder / "set.json").read_text())["commit"] == commit
    return folder


def _refused(verifier: Verifier, commit: str, code: ExitCode = ExitCode.USAGE, **variables: str) -> str:
    incidents = verifier.folder / "incidents"
    before = sorted(incidents.iterdir()) if incidents.exists() else []
    done = subprocess.run(
        [str(verifier.root / "deploy" / SCRIPT), commit],
        env={**verifier.environment, **variables},
        capture_output=True,
        text=True,
        timeout=STEP_SECONDS,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "HINT: " in done.stderr
    assert "Traceback" not in done.stderr
    assert (sorted(incidents.iterdir()) if incidents.exists() else []) == before
    return done.stderr


@pytest.mark.parametrize("name", ["$(touch /tmp/pwned)", "HEAD", "release-1", "0" * 40])
def test_what_is_no_commit_is_refused(verifier: Verifier, name: str) -> None:
    assert "commit" in _refused(verifier, name)


def test_a_commit_without_a_baseline_is_refused(verifier: Verifier, commit: str, tmp_path: Path) -> None:
    text = _refused(verifier, commit, ROLLPROOF_FOLDERS__BASELINES=str(tmp_path))
    assert text.startswith("baseline: expected one of commit")


def test_a_commit_without_a_backup_is_refused(verifier: Verifier, commit: str, tmp_path: Path) -> None:
    text = _refused(verifier, commit, ROLLPROOF_FOLDERS__BACKUPS=str(tmp_path))
    assert text.startswith("backup: expected a complete backup set of commit")


def _damage(operators: Operators) -> None:
    operators.sql("DELETE FROM imagedb.users WHERE username <> 'canary' LIMIT 3")
    operators.mongodb["mongodb"]["files"].delete_one({})
    operators.redis.flushdb()
    operators.qdrant.call("DELETE", "/collections/files")
    operators.milvus.drop_collection(min(operators.milvus.list_collections()))
    first = next(iter(operators.s3.list_objects("minio-file", recursive=True)))
    operators.s3.remove_object("minio-file", str(first.object_name))


def test_a_rollback_that_is_killed_is_run_again_and_verified(
    verifier: Verifier,
    backup: Path,
    commit: str,
    operators: Operators,
    target: Target,
    engine: ContainerEngine,
) -> None:
    assert backup.is_dir()
    _damage(operators)
    # Milvus is stopped in about two seconds, then its volume is loaded.
    folder = verifier.killed(SCRIPT, commit, at="restore milvus", after=4)
    again = verifier.script(SCRIPT, commit[:10], "--take-over")
    assert again.returncode == ExitCode.VERIFIED, again.stderr
    # The second run went on in the first one's incident, and kept nothing over what the first had kept.
    assert f"incident: {folder}" in again.stdout
    kept = (verifier.folder / "backups" / "safety").glob(f"{folder.name}-*")
    assert [path.name for path in kept] == [f"{folder.name}-01"]
    records = verify_journal(folder / "journal.jsonl")
    # Begun and ended once; what was written between the two runs is exported by the second.
    assert sum(record.get("step") == "back up mysql" for record in records) == 2
    assert not (folder / "unfinished.json").exists()
    outcome = verifier.run("verification", "-n2", incident=folder.name)
    expect(outcome, {})
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["verdict"] == "passed"
    assert verdict["rollback"]["verdict"] == "passed"
    assert verdict["rto_seconds"] >= verdict["rollback"]["seconds"]
    assert set(verdict["phases"]) == {"phase1", "phase2", "phase3", "phase4"}
    # What the tags mean is what runs: the next `docker compose up` changes nothing.
    for service in target.application.services:
        (container,) = engine.containers()[service]
        tagged = subprocess.run(
            [
                "docker",
                "image",
                "inspect",
                "--format={{.Id}}",
                f"rollproof-staging/{_image(service)}:current",
            ],
            capture_output=True,
            text=True,
            timeout=STEP_SECONDS,
            check=True,
        )
        assert tagged.stdout.strip() == container.image_id


def _image(service: str) -> str:
    return "backend" if service == "worker" else service


def test_a_damaged_backup_is_refused_before_its_store_is_touched(
    verifier: Verifier, backup: Path, commit: str
) -> None:
    victim = max((backup / "mysql").iterdir(), key=lambda path: path.stat().st_size)
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-1])
    try:
        text = _refused(verifier, commit, ExitCode.FAILED)
    finally:
        victim.write_bytes(whole)
    assert victim.name in text
