"""The whole gate on the real stack: a migration is promoted; a fix is, once it is rehearsed and reopened."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rollproof.errors import ExitCode
from rollproof.git.repository import git, head
from rollproof.incident.rehearsals import ENDED
from rollproof.incident.samples import off_the_beat, own_samples, read_samples, samples_path
from rollproof.profile.profile import Target
from rollproof.system.clock import Moment
from staging.rehearsal.rehearsal import ENGINEER
from staging.rehearsal.staging_team import team_channel, write_change_document
from staging.target.operators import undone
from tests.rehearsals import OF_THE_REHEARSAL, REOPENED
from tests.stack.backup_copies import RESTORES
from tests.stack.verifier import Verifier, expect, patient
from tests.waiting import until

# Many commands one after the other, on a machine that others use too.
pytestmark = pytest.mark.timeout(2400)
SECONDS = 60
# How many samples the gate looks at; by what they are judged, tests of samples see.
SAMPLES = 2


def _waived(**reasons: str) -> str:
    """Return waivers of items, each with its reason, as the profile has them."""
    expires = (datetime.now(UTC).date() + timedelta(days=1)).isoformat()
    waivers = [
        {"item": f"{item}*", "name": ENGINEER, "reason": reason, "expires": expires}
        for item, reason in reasons.items()
    ]
    return json.dumps(waivers)


NOT_TWICE = {RESTORES: "it is restored before the promotion"}


def _commit(target: Target, message: str, *, parent: str = "HEAD", tree: str = "HEAD^{tree}") -> str:
    identity = ("-c", "user.name=Release Manager", "-c", "user.email=releases@example.org")
    return git(target.application.repository, *identity, "commit-tree", tree, "-p", parent, "-m", message)


@pytest.fixture
def own_incidents(verifier: Verifier) -> Iterator[None]:
    """Runs among incidents of this test's own: a rollback of another test would close the gate, too."""
    incidents, aside = verifier.folder / "incidents", verifier.folder / "incidents of other tests"
    incidents.mkdir(exist_ok=True)
    incidents.rename(aside)
    with undone(lambda: aside.rename(incidents)), undone(lambda: shutil.rmtree(incidents)):
        yield


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
def release(target: Target) -> str:
    """A migration that was never rolled back, with the files that are deployed."""
    return _commit(target, "Release 1.1")


@pytest.fixture
def fix(target: Target, bad: str) -> str:
    """The fix of the bad one: on top of that, the files that are deployed."""
    return _commit(target, "Release 1.1.1", parent=bad)


@pytest.fixture
def monitored(verifier: Verifier, own_incidents: None) -> Iterator[None]:  # noqa: ARG001 - where it samples
    """The target has a monitor, whose last samples are on the beat."""
    with verifier.monitored():
        yield


@contextmanager
def _told(verifier: Verifier, target: Target, migration: str) -> Iterator[None]:
    """Have the team know of `migration`, and an engineer on call acknowledge it, for the block."""
    document = target.premigration.team.document
    assert document is not None
    with team_channel(verifier.stack.slot.channel_port):
        write_change_document(document, migration, head(target.application.repository))
        for command in (("notify", migration), ("acknowledge", migration, "--as", ENGINEER)):
            done = verifier.actions(*command)
            assert done.returncode == 0, done.stdout + done.stderr
        yield
    document.unlink()


@pytest.mark.usefixtures("monitored")
def test_a_migration_whose_rehearsal_is_waived_is_promoted(
    verifier: Verifier, backup: Path, release: str, target: Target
) -> None:
    assert backup.is_dir()
    with _told(verifier, target, release):
        saved = verifier.actions("save-state")
        assert saved.returncode == 0, saved.stdout + saved.stderr
        _wait_for_beats(verifier, target)
        _promote(verifier, release, **dict.fromkeys(OF_THE_REHEARSAL, "there is no staging for it"))
        light = {"PREMIGRATION__TIER": "light", "PREMIGRATION__MONITORING__SAMPLES": str(SAMPLES)}
        _wait_for_beats(verifier, target)
        promoted = verifier.actions("gate", release, **patient(**light))
        assert promoted.returncode == 0, promoted.stdout
        assert "Light: a restore was not tried, and the migration not rehearsed." in promoted.stdout
        items = [line for line in promoted.stdout.splitlines() if line.startswith("| ")]
        assert not any("restores" in line or "rehearsed" in line for line in items)


@pytest.mark.usefixtures("monitored")
@pytest.mark.long(minutes=5)
def test_a_fix_that_was_rehearsed_is_promoted(verifier: Verifier, bad: str, fix: str, target: Target) -> None:
    with _told(verifier, target, fix):
        incident = _roll_back(verifier, target, bad)
        _rehearse(verifier, target, fix)
        _reopen(verifier, incident, bad, fix)
        _promote(verifier, fix)


def _rehearse(verifier: Verifier, target: Target, migration: str) -> None:
    # The gate at the end restores the same backup: once is enough.
    rehearsed = verifier.actions("rehearse", migration, **patient(PREMIGRATION__WAIVERS=_waived(**NOT_TWICE)))
    assert rehearsed.returncode == 0, rehearsed.stdout + rehearsed.stderr
    ended = _last_event(verifier.folder / "incidents", ENDED)
    assert (ended["migrated"], ended["rolled_back"]) == ("passed", "passed")
    # A service that a rollback has made again has another configuration hash, by compose's own count: what
    # runs now is another state than the rehearsal began with.
    verifier.capture()
    _wait_for_beats(verifier, target)


def _wait_for_beats(verifier: Verifier, target: Target) -> None:
    """Wait until the monitor has seen what is there now as step 3 asks: on the beat, and well."""
    monitoring, now = target.premigration.monitoring, Moment.now()
    path = verifier.folder / "incidents" / samples_path(target).relative_to(target.folders.incidents)

    def has_seen() -> bool:
        samples = read_samples(path, SAMPLES)
        if len(samples) < SAMPLES or samples[-1].at.seconds_since(now) <= 0:
            return False
        well = all(probe.ok for probe in samples[-1].probes.values())
        return well and not any(off_the_beat(own_samples(samples), monitoring.beat_seconds))

    until(has_seen)


def _promote(verifier: Verifier, migration: str, **waived: str) -> None:
    waivers = _waived(**waived)
    settings = patient(PREMIGRATION__WAIVERS=waivers, PREMIGRATION__MONITORING__SAMPLES=str(SAMPLES))
    promoted = verifier.actions("gate", migration, **settings)
    assert promoted.returncode == 0, promoted.stdout
    assert promoted.stdout.startswith("# ✅ Promote\n")
    assert f"Migration {migration} of target" in promoted.stdout


def _roll_back(verifier: Verifier, target: Target, bad: str) -> str:
    """Deploy the bad migration, as far as git can tell, and go back from it; return the incident."""
    repository = target.application.repository
    good = head(repository)
    git(repository, "checkout", "--quiet", bad)
    done = verifier.actions("rollback", "full", good, **patient())
    assert done.returncode == 0, done.stdout + done.stderr
    assert head(repository) == good
    (folder,) = {line for line in done.stdout.splitlines() if line.startswith("incident: ")}
    return Path(folder.removeprefix("incident: ")).name


def _reopen(verifier: Verifier, incident: str, bad: str, fix: str) -> None:
    """See that the gate is closed for what was rolled back and for its fix, and opened for that alone."""
    closed = ("failed", "reopening of migration", "expected one for each rollback", bad[:12])
    expect(verifier.run("step5", f"--migration={fix}"), {REOPENED: closed})
    itself = ("reopen", incident, f"--fix={bad}", "--root-cause=a file too many", f"--as={ENGINEER}")
    refused = verifier.actions(*itself)
    assert refused.returncode == ExitCode.USAGE, refused.stdout + refused.stderr
    assert "expected another commit, which changes what was wrong" in refused.stderr
    reopened = verifier.actions(*(word.replace(bad, fix) for word in itself))
    assert reopened.returncode == 0, reopened.stdout + reopened.stderr
    assert f"reopened by {ENGINEER}: incident {incident}, for fix {fix}" in reopened.stdout
    none = ("failed", f"rehearsal of migration {bad[:12]}")
    expect(
        verifier.run("step5", f"--migration={bad}"),
        dict.fromkeys(OF_THE_REHEARSAL, none) | {REOPENED: closed},
    )


def _last_event(incidents: Path, event: str) -> dict[str, str]:
    lines = [
        json.loads(line)
        for journal in sorted(incidents.glob("*/journal.jsonl"))
        for line in journal.read_text().splitlines()
    ]
    found: dict[str, str] = [line for line in lines if line["event"] == event][-1]
    return found
