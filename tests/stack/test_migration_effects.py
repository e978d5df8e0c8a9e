"""A rehearsal on the real stack of a migration that loses data, and of one that locks the old code out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rollproof.errors import ExitCode
from rollproof.git.repository import git
from rollproof.incident.rehearsals import ENDED
from rollproof.profile.profile import Target
from rollproof.system.files import read_lines
from staging.stack.stack import Stack
from tests.rehearsals import ALTERED, LOST, OLD_CODE, WELL
from tests.stack.verifier import Verifier, expect, patient

pytestmark = [pytest.mark.timeout(2400), pytest.mark.long(minutes=4)]
SECONDS = 60
CONSOLIDATION = "app/migrations/consolidation.py"
RENAMES_A_COLUMN = """
from app.connections import mysql
from app.settings import BULK_DEADLINE

REVISION = "9b7d20e4c6a1"


def upgrade() -> None:
    with mysql(BULK_DEADLINE) as cursor:
        cursor.execute("ALTER TABLE users RENAME COLUMN hashed_password TO password_digest")
"""


@pytest.fixture
def own(stack: Stack, tmp_path: Path) -> Verifier:
    """Runs in folders of this test's own."""
    return Verifier(stack, tmp_path)


def test_each_loss_is_named_and_closes_the_gate(own: Verifier, target: Target) -> None:
    migration = _commit(target, "HEAD^{tree}")
    damage = [sys.executable, "-m", "tests.stack.bad_migration", str(own.stack.profile)]
    ended = _rehearse(own, target, migration, damage)
    assert ended["rolled_back"] == "passed"
    assert ended["unknown"] == []
    lost, altered = "\n".join(ended["lost"]), "\n".join(ended["altered"])
    for text in (
        "mysql: imagedb.users: schema: columns.email: expected ",
        "mysql: imagedb.users: schema: indexes.ix_users_email: expected ",
        "mysql: imagedb.documents: exact, ",
        "mongodb: mongodb.conversations: not there any more",
        "qdrant: files: exact, ",
    ):
        assert text in lost, lost
    assert "mysql: imagedb.users: schema: columns.hashed_password.type: expected 'varchar(100)'" in altered
    assert all("locale" not in text for text in (lost, altered))
    assert any("columns.locale: expected none" in text for text in ended["noted"])
    red = {
        WELL: ("failed", "observed "),
        LOST: ("failed", "columns.email: expected ", "conversations: not there any more"),
        ALTERED: ("failed", "observed 'varchar(99)'"),
        OLD_CODE: ("failed", "observed broken"),
    }
    expect(own.run("step5", f"--migration={migration}"), red)


def test_a_migration_that_locks_out_the_old_code_is_red(
    own: Verifier, target: Target, tmp_path: Path
) -> None:
    migration = _commit(target, _tree_with(target, tmp_path, RENAMES_A_COLUMN))
    ended = _rehearse(own, target, migration)
    assert (ended["migrated"], ended["old_code"], ended["rolled_back"]) == ("passed", "failed", "passed")


def _rehearse(own: Verifier, target: Target, migration: str, *then: list[str]) -> dict[str, Any]:
    """Rehearse a migration whose losses fail it; return the record of its end."""
    deploy = [*target.premigration.rehearsal.deploy, *then]
    expires = (datetime.now(UTC).date() + timedelta(days=1)).isoformat()
    waived = {"item": "test_*", "name": "Test", "reason": "the rehearsal alone is seen", "expires": expires}
    done = own.actions(
        "rehearse",
        migration,
        **patient(
            PREMIGRATION__REHEARSAL__DEPLOY=json.dumps(deploy), PREMIGRATION__WAIVERS=json.dumps([waived])
        ),
    )
    assert done.returncode == ExitCode.FAILED, done.stdout + done.stderr
    journals = own.folder.glob("incidents/*/journal.jsonl")
    (ended,) = (line for path in journals for line in read_lines(path) if line["event"] == ENDED)
    return dict(ended)


def _commit(target: Target, tree: str) -> str:
    identity = ("-c", "user.name=Release Manager", "-c", "user.email=releases@example.org")
    arguments = ("commit-tree", tree, "-p", "HEAD", "-m", "Release 1.1")
    return git(target.application.repository, *identity, *arguments)


def _tree_with(target: Target, folder: Path, consolidation: str) -> str:
    """Return the tree of release 2 with another migration."""
    index = {**os.environ, "GIT_INDEX_FILE": str(folder / "index")}

    def run(*arguments: str, text: str = "") -> str:
        command = ["git", "-C", str(target.application.repository), *arguments]
        done = subprocess.run(
            command, env=index, input=text, capture_output=True, text=True, check=True, timeout=SECONDS
        )
        return done.stdout.strip()

    run("read-tree", "release-2")
    blob = run("hash-object", "-w", "--stdin", text=consolidation)
    run("update-index", "--cacheinfo", f"100644,{blob},{CONSOLIDATION}")
    return run("write-tree")
