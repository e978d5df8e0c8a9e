"""The whole gate on the real stack: a migration is rehearsed, then promoted, then blocked by one item."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.git import git, head
from fixtures.rehearsals import ENDED
from fixtures.target import Target
from staging.rehearsal import ENGINEER
from staging.team import team_channel, write_change_document
from tests.pytester.conftest import Outcome
from tests.stack.verifier import ACTIONS_SECONDS, Verifier, expect

BEATS_SECONDS = 40.0
BEGAN = "test_rehearsal_began_where_the_target_is"
WHOLE = "test_record_of_the_rehearsal_is_whole"
OF_STEP_5 = (
    *("test_migration_was_rehearsed", WHOLE, "test_staging_was_well_after_the_migration"),
    *("test_rollback_was_rehearsed", BEGAN, "test_rehearsal_is_recent"),
)


def _commit_of_the_same_files(target: Target, message: str) -> str:
    repository = target.application.repository
    identity = ("-c", "user.name=Release Manager", "-c", "user.email=releases@example.org")
    return git(repository, *identity, "commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", message)


@pytest.fixture
def migration(target: Target) -> str:
    """A migration that harms nothing: another commit of the same files."""
    return _commit_of_the_same_files(target, "Release 1.1")


@pytest.fixture
def monitored(verifier: Verifier) -> Iterator[None]:
    """The target has a monitor, whose last samples are on the beat."""
    monitor = subprocess.Popen(
        [str(verifier.root / "deploy" / "scripts" / "monitor_migration.sh")],
        env=verifier.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    try:
        yield
    finally:
        monitor.send_signal(signal.SIGTERM)
        monitor.wait(ACTIONS_SECONDS)


@pytest.fixture
def told(verifier: Verifier, target: Target, migration: str) -> Iterator[None]:
    """The team knows, and an engineer on call has acknowledged it."""
    document = target.premigration.team.document
    assert document is not None
    with team_channel():
        write_change_document(document, migration, head(target.application.repository))
        for command in (("notify", migration), ("acknowledge", migration, "--as", ENGINEER)):
            done = verifier.actions(*command)
            assert done.returncode == 0, done.stdout + done.stderr
        yield
    document.unlink()


def page_of(verifier: Verifier, migration: str) -> str:
    return (verifier.folder / "incidents" / f"change-staging-{migration[:12]}" / "gate.md").read_text()


@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("monitored", "told")
def test_a_migration_that_was_rehearsed_is_promoted(
    verifier: Verifier, migration: str, target: Target, tmp_path: Path
) -> None:
    rehearsed = verifier.actions("rehearse", migration)
    assert rehearsed.returncode == 0, rehearsed.stdout + rehearsed.stderr
    ended = _last_event(verifier.folder / "incidents", ENDED)
    assert (ended["migrated"], ended["rolled_back"]) == ("passed", "passed")

    # A service that a rollback has made anew has another configuration hash, by compose's own count: what
    # runs now is another state than the rehearsal began with. The monitor must have seen it for a while, too.
    verifier.back_up()
    time.sleep(BEATS_SECONDS)
    promoted = verifier.actions("gate", migration)
    assert promoted.returncode == 0, promoted.stdout
    assert promoted.stdout.startswith("# ✅ Promote\n")
    assert f"Migration `{migration}`" in promoted.stdout

    # Not release 2: other tests roll back from it, which closes the gate for it.
    _see_step_5_red(verifier, migration, _commit_of_the_same_files(target, "Release 1.2"), tmp_path)
    verifier.folder.joinpath("baselines", "current").rename(verifier.folder / "baselines" / "aside")
    try:
        blocked = verifier.actions("gate", migration)
    finally:
        (verifier.folder / "baselines" / "aside").rename(verifier.folder / "baselines" / "current")
    assert blocked.returncode in {1, 3}, blocked.stdout
    assert blocked.stdout.startswith("# ❌ Do not promote\n")
    assert "Traceback" not in blocked.stdout + blocked.stderr


def _see_step_5_red(verifier: Verifier, migration: str, other: str, folder: Path) -> None:
    """See that a rehearsal of something else, and a record that was changed, count for nothing."""
    none = ("failed", f"rehearsal of migration {other[:12]}: expected one of target staging, observed none")
    expect(verifier.run("step5", f"--migration={other}"), dict.fromkeys(OF_STEP_5, none))

    def run() -> Outcome:
        place = {"PREMIGRATION__REHEARSAL__INCIDENTS": str(folder / "records")}
        return verifier.run("step5", f"--migration={migration}", **place)

    shutil.copytree(verifier.folder / "incidents", folder / "records")
    expect(run(), {})
    (journal,) = [
        path for path in folder.glob("records/*/journal.jsonl") if ENDED in path.read_text(encoding="utf-8")
    ]
    verdict = journal.with_name("verdict.json")
    verdict.write_bytes(verdict.read_bytes() + b" ")
    expect(run(), {WHOLE: ("failed", "verdict of the rehearsal", "observed another one, or none")})
    journal.write_text(journal.read_text().replace('"migrated": "passed"', '"migrated": "failed"'))
    of_its_end = [check for check in OF_STEP_5 if check != BEGAN]
    expect(run(), dict.fromkeys(of_its_end, ("broken", "a journal whose chain holds")))


def _last_event(incidents: Path, event: str) -> dict[str, str]:
    lines = [
        json.loads(line)
        for journal in sorted(incidents.glob("*/journal.jsonl"))
        for line in journal.read_text().splitlines()
    ]
    found: dict[str, str] = [line for line in lines if line["event"] == event][-1]
    return found
