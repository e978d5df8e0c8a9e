"""A backup that cuts a name from its record, restored: phase 4 tolerates that name, and no other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from reports.terminal.progress import Progress
from rollback_actions.backup import whole_backup
from rollback_actions.containers.compose import ComposeControl
from rollback_actions.session.session import Journal, Recorder
from rollproof.backups.sets import BackupSet
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ExitCode
from rollproof.git.repository import head
from rollproof.profile.profile import Target
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.keepers import open_keepers
from rollproof.stores.package import Kept
from rollproof.stores.references import hash_of, text_of
from staging.target.action_runs import STORE_SECONDS
from staging.target.operators import Operators
from tests.stack import damage
from tests.stack.verifier import Verifier, expect

# A backup and a rollback of everything, on a machine that others use too.
pytestmark = [pytest.mark.timeout(2400), pytest.mark.usefixtures("whole", "settled")]
BUCKET, REFERENCE = "minio-file", "objects_of_pages"
CHECK = f"test_references[{REFERENCE}]"
FOLLOWED = ("-k", "test_references and not canary", "--no-gate")


@dataclass
class Preceded:
    """A store whose backup something else comes before."""

    keeper: StoreKeeper
    first: Callable[[], object]

    def back_up(self, folder: Path) -> Kept:
        self.first()
        return self.keeper.back_up(folder)


@pytest.fixture
def keys(operators: Operators) -> tuple[str, str]:
    """Two objects that pages of users' files name."""
    files = operators.mongodb["mongodb"]["files"].find({"username": {"$ne": "canary"}}).sort("_id").limit(2)
    one, other = (file["images"][0]["minio_filename"] for file in files)
    return one, other


def _back_up(
    verifier: Verifier,
    target: Target,
    engine: ContainerEngine,
    control: ComposeControl,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: Callable[[], object],
) -> BackupSet:
    """Take a set among those of `verifier`; `meanwhile` happens before the wave of the last store."""
    *_, last = whole_backup.waves(target)
    assert last == ("minio",)

    def keepers(*opened: object) -> dict[str, object]:
        return {
            name: Preceded(keeper, meanwhile) if name in last else keeper
            for name, keeper in open_keepers(*opened).items()  # type: ignore[arg-type]
        }

    monkeypatch.setattr(whole_backup, "open_keepers", keepers)
    folders = target.folders.model_copy(update={"backups": verifier.folder / "backups"})
    stores = {
        name: store.model_copy(update={"deadline_seconds": STORE_SECONDS})
        for name, store in target.stores.items()
    }
    target = target.model_copy(update={"folders": folders, "stores": stores})
    commit = head(verifier.stack.state.application)
    journal = Journal(verifier.folder / "cut-names.jsonl", target.redactor().text)
    with Progress() as progress:
        return whole_backup.back_up(
            target, commit, engine, control, Recorder(journal, progress, lambda: None)
        )


@pytest.mark.long(minutes=3)
def test_a_name_that_a_backup_cut_is_tolerated_once_it_is_restored_and_no_other(
    verifier: Verifier,
    operators: Operators,
    target: Target,
    engine: ContainerEngine,
    control: ComposeControl,
    keys: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cut, other = keys
    with ExitStack() as gone:
        # MongoDB is copied by now, with the name of the object that goes.
        taken = _back_up(
            verifier,
            target,
            engine,
            control,
            monkeypatch,
            lambda: gone.enter_context(damage.object_gone(operators, BUCKET, cut)),
        )
        # The newest set is the one that later tests roll back to: they would miss the object.
        gone.callback(shutil.rmtree, taken.folder)
        assert f"{hash_of((cut,)):016x}" in taken.moved[text_of(target.references[REFERENCE])]
        assert {*map(text_of, target.references.values())} <= {*taken.moved}
        assert cut not in (verifier.folder / "cut-names.jsonl").read_text()

        red = ("failed", " dangling, 0 records without a name; first: ")
        expect(verifier.run("phase4", *FOLLOWED), {CHECK: (*red, cut)})
        done = verifier.script(
            "rollback/emergency_rollback.sh", taken.commit[:10], "--backup", taken.folder.name
        )
        assert done.returncode == ExitCode.VERIFIED, done.stderr
        incident = verifier.incident_of(done.stdout).name

        tolerated = verifier.run("phase4", *FOLLOWED, incident=incident)
        expect(tolerated, {})
        said = f"{REFERENCE}: 1 names dangle that moved while the backup was taken: {cut}"
        assert tolerated.results()[CHECK]["notes"][0]["text"] == said
        verdict = json.loads((verifier.folder / "incidents" / incident / "verdict.json").read_text())
        assert any(said in str(note) for note in verdict["notes"])
        with damage.object_gone(operators, BUCKET, other):
            outcome = verifier.run("phase4", *FOLLOWED, incident=incident)
        expect(outcome, {CHECK: (*red, other)})
        assert cut not in outcome.results()[CHECK]["reason"]
