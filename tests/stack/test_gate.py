"""The whole gate on the real stack: a fix of what was rolled back is rehearsed, reopened and promoted."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.errors import ExitCode
from fixtures.git import git, head
from fixtures.rehearsals import ENDED
from fixtures.target import Target
from staging.rehearsal import ENGINEER
from staging.team import team_channel, write_change_document
from tests.pytester.conftest import Outcome
from tests.stack.verifier import Verifier, expect

BEATS_SECONDS = 40.0
SECONDS = 60
OPEN = "test_migration_was_reopened_after_its_rollback"
BEGAN = "test_rehearsal_began_where_the_target_is"
WHOLE = "test_record_of_the_rehearsal_is_whole"
OF_STEP_5 = (
    *("test_migration_was_rehearsed", WHOLE, "test_staging_was_well_after_the_migration"),
    *("test_rollback_was_rehearsed", BEGAN, "test_rehearsal_is_recent"),
)


def _commit(target: Target, message: str, *, parent: str = "HEAD", tree: str = "HEAD^{tree}") -> str:
    identity = ("-c", "user.name=Release Manager", "-c", "user.email=releases@example.org")
    return git(target.application.repository, *identity, "commit-tree", tree, "-p", parent, "-m", message)


@pytest.fixture
def bad(target: Target) -> str:
    """A migration that is rolled back; it has one file more than what is deployed."""
    repository = target.application.repository
    listing = git(repository, "ls-tree", "HEAD")
    blob = next(line.split()[2] for line in listing.splitlines() if line.split()[1] == "blob")
    made = subprocess.run(
        ["git", "-C", str(repository), "mktree"],
        input=f"{listing}\n100644 blob {blob}\tNOTES\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    return _commit(target, "Release 1.1", tree=made.stdout.strip())


@pytest.fixture
def migration(target: Target, bad: str) -> str:
    """The fix of the bad one: on top of that, the files that are deployed."""
    return _commit(target, "Release 1.1.1", parent=bad)


@pytest.fixture
def monitored(verifier: Verifier) -> Iterator[None]:
    """The target has a monitor, whose last samples are on the beat."""
    with verifier.monitored():
        yield


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
def test_a_fix_that_was_rehearsed_is_promoted(
    verifier: Verifier, bad: str, migration: str, target: Target, tmp_path: Path
) -> None:
    incident = _roll_back(verifier, target, bad)
    rehearsed = verifier.actions("rehearse", migration)
    assert rehearsed.returncode == 0, rehearsed.stdout + rehearsed.stderr
    ended = _last_event(verifier.folder / "incidents", ENDED)
    assert (ended["migrated"], ended["rolled_back"]) == ("passed", "passed")

    # A service that a rollback has made anew has another configuration hash, by compose's own count: what
    # runs now is another state than the rehearsal began with. The monitor must have seen it for a while, too.
    verifier.back_up()
    time.sleep(BEATS_SECONDS)
    _reopen(verifier, incident, bad, migration)
    promoted = verifier.actions("gate", migration)
    assert promoted.returncode == 0, promoted.stdout
    assert promoted.stdout.startswith("# ✅ Promote\n")
    assert f"Migration `{migration}`" in promoted.stdout

    # Not release 2: other tests roll back from it, which closes the gate for it.
    _see_step_5_red(verifier, migration, _commit(target, "Release 1.2"), tmp_path)
    verifier.folder.joinpath("baselines", "current").rename(verifier.folder / "baselines" / "aside")
    try:
        blocked = verifier.actions("gate", migration)
    finally:
        (verifier.folder / "baselines" / "aside").rename(verifier.folder / "baselines" / "current")
    assert blocked.returncode in {1, 3}, blocked.stdout
    assert blocked.stdout.startswith("# ❌ Do not promote\n")
    assert "Traceback" not in blocked.stdout + blocked.stderr


def _roll_back(verifier: Verifier, target: Target, bad: str) -> str:
    """Deploy the bad migration, as far as git can tell, and go back from it; return the incident."""
    repository = target.application.repository
    good = head(repository)
    verifier.back_up()
    git(repository, "checkout", "--quiet", bad)
    done = verifier.actions("rollback", "full", good)
    assert done.returncode == 0, done.stdout + done.stderr
    assert head(repository) == good
    (folder,) = {line for line in done.stdout.splitlines() if line.startswith("incident: ")}
    return Path(folder.removeprefix("incident: ")).name


def _reopen(verifier: Verifier, incident: str, bad: str, fix: str) -> None:
    """See that the gate is closed for what was rolled back and for its fix, and opened for that alone."""
    closed = ("failed", "reopening of migration", "expected one for each rollback", bad[:12])
    expect(verifier.run("step5", f"--migration={fix}"), {OPEN: closed})
    itself = ("reopen", incident, f"--fix={bad}", "--root-cause=a file too many", f"--as={ENGINEER}")
    refused = verifier.actions(*itself)
    assert refused.returncode == ExitCode.USAGE, refused.stdout + refused.stderr
    assert "expected another commit, which changes what was wrong" in refused.stderr
    reopened = verifier.actions(*(word.replace(bad, fix) for word in itself))
    assert reopened.returncode == 0, reopened.stdout + reopened.stderr
    assert f"reopened by {ENGINEER}: incident {incident}, for fix {fix}" in reopened.stdout
    expect(verifier.run("step5", f"--migration={fix}"), {})
    none = ("failed", f"rehearsal of migration {bad[:12]}")
    expect(verifier.run("step5", f"--migration={bad}"), dict.fromkeys(OF_STEP_5, none) | {OPEN: closed})


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
