"""The pytest fixtures of step 1: the newest backup set, and the result of trying it, once for a whole run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING

import pytest

from fixtures.backups.kept_backups import KeptStore, KeptStoreOf
from fixtures.baseline.folder import Baseline
from fixtures.errors import Mismatch, Problem, Unverifiable
from fixtures.gating.verification import VERIFICATION, verification_of
from fixtures.incident.trials import Trial, TrialOfStore, of_problem
from fixtures.system.record_files import load_record, write_record
from fixtures.system.rounds import Wrong, answer_of, ask_all
from fixtures.target.profile import Target

if TYPE_CHECKING:
    from fixtures.backups.sets import BackupSet


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a check of a trial the time that the profile gives the trial."""
    verification = item.config.stash.get(VERIFICATION, None)
    if verification is not None and "restored" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.timeout(verification.target.premigration.scratch.whole_seconds))


@pytest.fixture(scope="session")
def backup_set(target: Target) -> BackupSet:
    """The newest backup set of the target; without a complete one its checks fail."""
    # Only these checks need keepers and their drivers: a run of another stage does not wait for them.
    from fixtures.backups.newest_backup import newest_backup  # noqa: PLC0415

    return newest_backup(target.folders.backups, target.name)


@pytest.fixture(scope="session")
def kept_image(target: Target) -> Callable[[str], int]:
    """Reads the kept copy of an image, by its id, completely; gives its bytes."""
    from fixtures.backups.newest_backup import read_image  # noqa: PLC0415

    return lambda image: read_image(target.folders.backups, image)


@pytest.fixture(scope="session")
def kept_store(backup_set: BackupSet, target: Target) -> KeptStoreOf:
    """Reads the backup of a store, by its name, completely and once."""
    from fixtures.backups.newest_backup import read_store  # noqa: PLC0415

    @cache
    def read(name: str) -> Mapping[str, KeptStore | Wrong]:
        return ask_all(
            [name], lambda name: read_store(backup_set, name, target.stores[name]), question="read backup"
        )

    return lambda name: answer_of(read(name), name)


@pytest.fixture(scope="session")
def restored(
    backup_set: BackupSet, target: Target, baseline: Baseline, pytestconfig: pytest.Config
) -> Callable[[str], TrialOfStore]:
    """Restores the set into a scratch instance and compares it; gives the result of one store, by its name.

    It is done once a run, by the first process that asks; the others wait for it.
    """
    from fixtures.system.file_lock import file_lock  # noqa: PLC0415

    verification = verification_of(pytestconfig)
    record = verification.incident.folder / "restores" / f"{verification.run.number:04d}.json"
    seconds = target.premigration.scratch.whole_seconds
    with file_lock(record.with_suffix(".lock"), "try a backup", wait_seconds=seconds):
        if not record.exists():
            # Only who restores has the operators' secrets.
            write_record(record, _tried(verification.target, backup_set, baseline))
    trial = load_record(Trial, record)
    if (trial.backup, trial.baseline) != (backup_set.folder.name, baseline.id):
        raise Unverifiable(
            what="backup set that was tried",
            expected=f"{backup_set.folder.name}, against {baseline.id}",
            observed=f"{trial.backup}, against {trial.baseline}",
            source=str(record),
            hint="another one was made meanwhile: run the checks again",
        )
    return lambda name: trial.stores[name]


def _tried(target: Target, backup: BackupSet, baseline: Baseline) -> Trial:
    """Return the results of trying the whole set; a problem that prevents it counts for every store."""
    from rollback_actions.backup.restore_trial import try_backup  # noqa: PLC0415

    try:
        trial = try_backup(target, backup, baseline)
    except (Mismatch, Problem) as wrong:
        trial = Trial(backup.folder.name, baseline.id, dict.fromkeys(target.stores, of_problem(wrong)), 0.0)
    # Keys of records may be secrets themselves, such as tokens of sessions.
    return trial.in_words(target.redactor().text)
