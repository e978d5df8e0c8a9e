"""Migrations that an entrypoint generates in a volume: compared, kept, and back with their database."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.engines.engine import ContainerEngine
from fixtures.errors import ExitCode
from fixtures.git.repository import head
from fixtures.incident.journal import verify_journal
from fixtures.incident.journal_steps import Step, steps_in
from fixtures.target.profile import Engine, Target, load_target
from rollback_actions.containers.compose import ComposeControl
from staging.stack.stack import Stack
from staging.target.operators import Operators
from tests.stack.mounted_project import empty, seen
from tests.stack.scratch_project import docker
from tests.stack.verifier import Verifier

pytestmark = [pytest.mark.timeout(2400)]
HELD = "backend:/var/versions"
COLLECTION = f"state/{HELD}"
# As alembic does it: what the database says, and what the volume has, must be the same.
ENTRY = """
import os, pathlib, sys
from app.migrate import current_revision
versions, database = pathlib.Path("/var/versions"), current_revision()
if not any(versions.iterdir()):
    (versions / f"{database}.py").write_text(f"revision = {database!r}")
    (versions / "head").write_text(database)
if not (versions / f"{database}.py").exists():
    sys.exit(f"Can't locate revision identified by {database!r}")
if (versions / "head").read_text() != database:
    sys.exit("Target database is not up to date.")
os.execvp(sys.argv[1], sys.argv[1:])
"""
COMMAND = ("uvicorn", "app.main:app", "--host", "0.0.0.0", "--port", "8000", "--no-access-log")  # noqa: S104 - inside
STORE = f"""
[stores.state]
kind = "mounts"
risk = "medium"
held = ["{HELD}"]
together = ["mysql"]
"""


class MountsVerifier(Verifier):
    """Commands on a profile of the stack with one store more."""

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command."""
        return {**super().environment, "ROLLPROOF_TARGET": str(self.folder / "profile.toml")}


@dataclass(frozen=True)
class Migrated:
    """The stack, whose backend has its migrations in a volume; `path` is its place on this host."""

    verifier: MountsVerifier
    engine: ContainerEngine
    operators: Operators
    path: Path

    def migrate(self) -> None:
        """Migrate database and volume, as a release that goes wrong does."""
        self.operators.sql("UPDATE imagedb.alembic_version SET version_num = 'two'")
        (self.path / "two.py").write_text("revision = 'two'")
        (self.path / "head").write_text("two")

    @property
    def revision(self) -> str:
        """The database's revision."""
        ((revision,),) = self.operators.sql("SELECT version_num FROM imagedb.alembic_version")
        return str(revision)

    @property
    def backend(self) -> str:
        """The id of the backend's container, which is well."""
        (container,) = self.engine.containers()["backend"]
        assert container.running
        assert container.healthy
        return container.id

    def red(self) -> dict[str, str]:
        """Return the reason of each red check of phase 4 that is about the volume."""
        done = self.verifier.run("phase4", "--no-gate", "-k", "state")
        assert done.code in {ExitCode.VERIFIED, ExitCode.FAILED}, done.text
        results = done.results()
        assert results
        return {name: one["reason"] for name, one in results.items() if one["verdict"] != "passed"}


@pytest.fixture(scope="module")
def migrated(
    stack: Stack,
    target: Target,
    engine: ContainerEngine,
    operators: Operators,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Migrated]:
    """The stack with a volume, a baseline and a backup of it; without it at the end."""
    folder = tmp_path_factory.mktemp("mounts")
    entry, mount = ["python", "-c", ENTRY], "versions:/var/versions"
    backend = {"entrypoint": entry, "command": COMMAND, "volumes": [mount]}
    override = folder / "override.json"
    override.write_text(json.dumps({"services": {"backend": backend}, "volumes": {"versions": {}}}))
    profile = stack.slot.profile_text(stack.root)
    files = ", ".join(json.dumps(str(file)) for file in (*target.engine.files, override))
    lines = [f"files = [{files}]" if line.startswith("files = [") else line for line in profile.splitlines()]
    (folder / "profile.toml").write_text("\n".join([*lines, STORE]))
    images = {"backend": engine.containers()["backend"][0].image_id}
    volume = f"{target.engine.project}_versions"
    with_volume: Engine = load_target(folder / "profile.toml").engine
    try:
        ComposeControl(with_volume).up(images, images, deadline=120)
        path = Path(docker("volume", "inspect", "--format", "{{.Mountpoint}}", volume))
        verifier = MountsVerifier(stack, folder)
        verifier.back_up()
        yield Migrated(verifier, engine, operators, path)
    finally:
        ComposeControl(target.engine).up(images, images, deadline=120)
        docker("volume", "rm", volume)


@pytest.fixture(autouse=True)
def known(migrated: Migrated) -> Iterator[None]:
    """Each test begins and ends with the volume and the database of the baseline."""
    before = seen(migrated.path)
    yield
    assert seen(migrated.path) == before
    migrated.verifier.settle()
    migrated.verifier.compare()


def test_a_database_goes_back_with_its_migrations_even_if_that_is_killed(migrated: Migrated) -> None:
    verifier, before, revision = migrated.verifier, migrated.backend, migrated.revision
    migrated.migrate()
    plan = verifier.actions("plan", "--store", "mysql")
    files = len(list(migrated.path.iterdir())) - 1
    assert f"state, of risk medium, goes back to {files} records of " in plan.stdout, plan.stderr
    assert f": {HELD} {files} (" in plan.stdout
    assert "re-creates backend, whose volumes went back" in plan.stdout
    with verifier.begun("rollback/db_mysql.sh", at="restore state"):
        pass  # killed here
    done = verifier.actions("rollback", "resume", "--take-over")
    assert done.returncode == ExitCode.VERIFIED, done.stdout + done.stderr
    assert migrated.revision == revision
    assert migrated.backend != before
    incident = verifier.incident_of(done.stdout)
    steps, _ = steps_in(verify_journal(incident / "journal.jsonl"))
    restored = {step.id.of for step in steps if step.id and step.id.step is Step.RESTORE and step.end}
    assert restored == {"mysql", "state"}
    record = json.loads((incident / "rollback.json").read_text())
    assert record["verdict"] == "passed"
    assert record["records"]["unaccounted"] == 0
    # What was overwritten is in the safety copy, and exported file by file.
    assert list((verifier.folder / "backups" / "safety").glob(f"{incident.name}-*/state/0000.tar"))
    exported = "".join(file.read_text() for file in incident.glob("*/state/*.jsonl"))
    assert '"key": "two.py"' in exported
    assert '"key": "head"' in exported


def test_an_emergency_rollback_brings_back_an_emptied_volume(migrated: Migrated) -> None:
    verifier, before, revision = migrated.verifier, migrated.backend, migrated.revision
    migrated.operators.sql("UPDATE imagedb.alembic_version SET version_num = 'two'")
    empty(migrated.path)
    done = verifier.actions("rollback", "emergency", head(verifier.stack.state.application))
    assert done.returncode == ExitCode.VERIFIED, done.stdout + done.stderr
    assert migrated.revision == revision
    assert migrated.backend != before


def test_phase_4_sees_and_names_every_change_of_a_volume(migrated: Migrated, tmp_path: Path) -> None:
    kept = shutil.copytree(migrated.path, tmp_path / "kept")
    revision = migrated.path / f"{migrated.revision}.py"

    def reason() -> str:
        """Return why the one check of the volume's content is red, and put the volume back."""
        red = migrated.red()
        empty(migrated.path)
        shutil.copytree(kept, migrated.path, dirs_exist_ok=True)
        (found,) = (reason for name, reason in red.items() if "content" in name)
        assert HELD in found
        return found

    assert migrated.red() == {}
    head = migrated.path / "head"
    head.write_bytes(head.read_bytes()[:-1] + b"?")
    revision.unlink()
    (migrated.path / "added.py").write_text("late")
    said = reason()
    for name in ("head", revision.name, "added.py"):
        assert name in said
    empty(migrated.path)
    said = reason()
    for name in ("head", revision.name):
        assert name in said


def test_a_volume_of_no_store_is_no_backup(migrated: Migrated) -> None:
    """Whoever does not name it is told of it, with what to write into the profile."""
    verifier = Verifier(migrated.verifier.stack, migrated.verifier.folder)
    for command in ("backup", "capture"):
        done = verifier.actions(command)
        assert done.returncode != ExitCode.VERIFIED
        assert f"{HELD} (volume " in done.stderr
        assert f'held = ["{HELD}"]' in done.stderr
    plan = verifier.actions("plan", "--store", "mysql")
    assert f"caution: {HELD} (volume " in plan.stdout
