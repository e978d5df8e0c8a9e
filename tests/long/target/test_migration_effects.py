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
from rollproof.incident.journal import read_journal
from rollproof.incident.rehearsals import ENDED
from rollproof.profile.profile import Target
from staging.stack.stack import Stack
from tests.rehearsals import ALTERED, LOST, OLD_CODE, WELL
from tests.stack.verifier import Verifier, expect, patient

pytestmark = [pytest.mark.timeout(2400), pytest.mark.long(minutes=4)]
SECONDS = 60
RENAMES_A_COLUMN = """
from app.connections import mysql
from app.settings import BULK_DEADLINE

REVISION = "9b7d20e4c6a1"


def upgrade() -> None:
    with mysql(BULK_DEADLINE) as cursor:
        cursor.execute("ALTER TABLE users RENAME COLUMN hashed_password TO password_digest")
"""
# A file of release 1, and what of it the new release has in its place.
CHANGES = (
    ("app/accounts.py", "hashed_password", "password_digest"),
    ("app/migrate.py", "import initial", "import initial, rename"),
    ("app/migrate.py", "initial.upgrade),", "initial.upgrade), Step(rename.REVISION, rename.upgrade)"),
)


@pytest.fixture
def own(stack: Stack, tmp_path: Path) -> Verifier:
    """Runs in folders of this test's own."""
    return Verifier(stack, tmp_path)


def test_each_loss_is_named_and_closes_the_gate(own: Verifier, target: Target) -> None:
    migration = _commit(target, "HEAD^{tree}")
    ended = _rehearse(own, target, migration, "loses")
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
    length = "columns.hashed_password.character_maximum_length"
    assert f"mysql: imagedb.users: schema: {length}: expected 100, observed 99" in altered
    red = {
        WELL: ("failed", "observed "),
        LOST: ("failed", "columns.email: expected ", "conversations: not there any more"),
        ALTERED: ("failed", "observed 99"),
        OLD_CODE: ("failed", "observed broken"),
    }
    expect(own.run("step5", f"--migration={migration}"), red)


def test_a_migration_that_only_adds_is_green(own: Verifier, target: Target) -> None:
    migration = _commit(target, "HEAD^{tree}")
    ended = _rehearse(own, target, migration, "adds", code=ExitCode.VERIFIED)
    assert all(text.startswith("mysql: imagedb.users: schema: columns.") for text in ended["noted"])
    assert any("columns.locale: expected none" in text for text in ended["noted"])
    expect(own.run("step5", f"--migration={migration}"), {})


def test_a_migration_that_locks_out_the_old_code_is_red(
    own: Verifier, target: Target, tmp_path: Path
) -> None:
    migration = _commit(target, _renaming(target, tmp_path))
    ended = _rehearse(own, target, migration)
    assert (ended["migrated"], ended["old_code"], ended["rolled_back"]) == ("passed", "failed", "passed")


def _rehearse(
    own: Verifier, target: Target, migration: str, *then: str, code: ExitCode = ExitCode.FAILED
) -> dict[str, Any]:
    """Rehearse a migration, `then` the named ones of `rehearsed_migrations`; return the record of its end."""
    by_hand = [sys.executable, "-m", "tests.stack.rehearsed_migrations", str(own.stack.profile)]
    deploy = [*target.premigration.rehearsal.deploy, *([*by_hand, name] for name in then)]
    expires = (datetime.now(UTC).date() + timedelta(days=1)).isoformat()
    waived = {"item": "test_*", "name": "Test", "reason": "the rehearsal alone is seen", "expires": expires}
    done = own.actions(
        "rehearse",
        migration,
        **patient(
            PREMIGRATION__REHEARSAL__DEPLOY=json.dumps(deploy), PREMIGRATION__WAIVERS=json.dumps([waived])
        ),
    )
    assert done.returncode == code, done.stdout + done.stderr
    journals = own.folder.glob("incidents/*/journal.jsonl")
    (ended,) = (line for path in journals for line in read_journal(path)[0] if line["event"] == ENDED)
    return dict(ended)


def _commit(target: Target, tree: str) -> str:
    identity = ("-c", "user.name=Release Manager", "-c", "user.email=releases@example.org")
    arguments = ("commit-tree", tree, "-p", "HEAD", "-m", "Release 1.1")
    return git(target.application.repository, *identity, *arguments)


def _renaming(target: Target, folder: Path) -> str:
    """Return the tree of a release that renames a column, and whose own code asks for the new name."""
    index = {**os.environ, "GIT_INDEX_FILE": str(folder / "index")}

    def run(*arguments: str, text: str = "") -> str:
        command = ["git", "-C", str(target.application.repository), *arguments]
        done = subprocess.run(
            command, env=index, input=text, capture_output=True, text=True, check=True, timeout=SECONDS
        )
        return done.stdout

    run("read-tree", "HEAD")
    files = {"app/migrations/rename.py": RENAMES_A_COLUMN}
    for name, old, new in CHANGES:
        text = files.get(name) or run("show", f"HEAD:{name}")
        assert old in text
        files[name] = text.replace(old, new)
    for name, text in files.items():
        blob = run("hash-object", "-w", "--stdin", text=text).strip()
        run("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}")
    return run("write-tree").strip()
