"""Step 1's restore on the real stack: it runs apart from the target, and is red for missing records."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from rollproof.git.repository import git
from rollproof.system.files import sha256_of
from staging.stack.stack import Stack
from tests.run_outcome import Outcome
from tests.stack.backup_copies import RESTORES, STORES, Backups, flip_a_bit, of
from tests.stack.scratch_project import docker
from tests.stack.verifier import Verifier, expect
from tests.waiting import until


@pytest.fixture(scope="module")
def migration(stack: Stack) -> str:
    """The commit that is to be promoted; step 1 does not look into it."""
    return git(stack.state.application, "rev-parse", "release-2")


@pytest.fixture
def killed(verifier: Verifier, backup: Path, migration: str) -> None:
    """A run of the check was killed while its scratch instance was there."""
    assert backup.is_dir()
    chosen = ["-m", "step1", "-k", RESTORES, f"--migration={migration}", "--incident=killed"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", *chosen],
        cwd=verifier.root,
        env=verifier.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )

    def come() -> bool:
        assert process.poll() is None
        return len(scratch_containers(verifier.stack)) >= len(STORES)

    try:
        until(come)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert scratch_containers(verifier.stack)


def of_the_scratch(stack: Stack) -> str:
    """What filters those of the scratch instance."""
    return f"--filter=label=com.docker.compose.project={stack.project}-scratch"


def scratch_containers(stack: Stack) -> list[str]:
    return docker("ps", "--all", "--quiet", of_the_scratch(stack)).split()


def expect_one_trial(outcome: Outcome, stack: Stack) -> None:
    """See that the set was restored once for all workers, and that nothing is left of it."""
    assert set(outcome.results()) == {of(RESTORES, store) for store in STORES}
    assert outcome.incident is not None
    (record,) = outcome.incident.glob("restores/*.json")
    assert set(json.loads(record.read_text())["stores"]) == set(STORES)
    assert not scratch_containers(stack)
    volumes = docker("volume", "ls", "--quiet", of_the_scratch(stack))
    assert not volumes.split()


def comparisons_hold(outcome: Outcome, *stores: str) -> bool:
    results = outcome.results()
    return all(
        any("comparisons hold" in note["text"] for note in results[of(RESTORES, store)]["notes"])
        for store in stores
    )


def seal_another_email(backups: Backups) -> None:
    """Have another email in the dump of MySQL, and seal it so: no file of the set is other than it says."""
    dump = backups.file("mysql", ".sql")
    content = dump.read_bytes()
    assert content.count(b"'canary@example.org'") == 1
    dump.write_bytes(content.replace(b"'canary@example.org'", b"'canary@example.com'"))
    sealed = {"size": dump.stat().st_size, "sha256": sha256_of(dump)}
    backups.repack("mysql", lambda package: package["files"].update({dump.name: sealed}))


def another_reader_of_redis(verifier: Verifier, folder: Path) -> str:
    """Return the scratch instance's files, by one of which its Redis has another password of the reader."""
    (folder / "password").write_text("another")
    (folder / "reader.yaml").write_text(f"secrets: {{redis_reader: {{file: {folder / 'password'}}}}}\n")
    return json.dumps([str(verifier.root / "staging" / "compose.scratch.yaml"), str(folder / "reader.yaml")])


@pytest.mark.usefixtures("killed")
def test_what_does_not_come_back_as_it_was_is_red_and_the_rest_restores(
    verifier: Verifier, stack: Stack, migration: str, backup: Path, tmp_path: Path
) -> None:
    """With what a run left behind that was killed; two workers restore it once."""
    shutil.copytree(backup, tmp_path / "backups" / backup.name)
    with ExitStack() as undo:
        backups = Backups(verifier, migration, tmp_path / "backups", undo)
        seal_another_email(backups)
        flip_a_bit(backups.file("qdrant", ".snapshot"))
        backups.file("minio", "").unlink()
        outcome = verifier.run(
            "step1",
            *("-k", RESTORES, f"--migration={migration}", "-n", "2"),
            FOLDERS__BACKUPS=str(backups.folder),
            PREMIGRATION__SCRATCH__FILES=another_reader_of_redis(verifier, tmp_path),
        )
    expect(
        outcome,
        {
            of(RESTORES, "mysql"): ("failed", "imagedb.users", "observed 0 missing, 0 added, 1 changed "),
            of(RESTORES, "qdrant"): ("failed", "with SHA-256"),
            of(RESTORES, "minio"): ("failed", "it is missing"),
            of(RESTORES, "redis"): ("broken", "reader of redis in the scratch instance"),
        },
    )
    assert comparisons_hold(outcome, "mongodb", "milvus")
    expect_one_trial(outcome, stack)
