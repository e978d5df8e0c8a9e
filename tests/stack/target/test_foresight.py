"""What is known before a rollback, on real servers and a real engine: revisions, images, marks of formats."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from rollback_actions.containers.compose import ComposeControl
from rollproof.baseline.facts import RecordedContainer, RecordedStore
from rollproof.baseline.folder import Baseline
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Unverifiable
from rollproof.incident.rollback_request import RollbackKind, RollbackRequest
from rollproof.planning import foresight
from rollproof.planning.foresight import Foreseen, foresee, revisions_of
from rollproof.planning.plan import Plan
from rollproof.profile.application_profile import Migrations
from rollproof.profile.data_formats import Fit, Marks, judge, minor_version
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.profile import Target
from rollproof.stores.keepers import open_keeper
from rollproof.stores.package import read_details
from rollproof.stores.registry import open_reader
from staging.target.operators import Operators
from tests.stack import damage
from tests.stack.scratch_project import docker
from tests.unit.backups.test_foresight import FIRST, FOLDER, SECOND, TWO, revision
from tests.world.sandbox import facts

TABLE = "imagedb.alembic_version"
JUDGED = ("mysql", "mongodb", "redis", "qdrant", "milvus")
# A backup of Milvus stops it.
KEPT = ("mysql", "mongodb", "redis", "qdrant")
SECONDS = 120.0


@pytest.fixture(scope="session")
def target(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Target:
    """The staging target, of which nothing was captured: whoever uses the stack may have."""
    folders = target.folders.model_copy(update={"baselines": tmp_path_factory.mktemp("baselines")})
    return target.model_copy(update={"folders": folders})


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for each answer as long as it takes where much else runs: no test here is about time."""
    monkeypatch.setattr(foresight, "SECONDS", SECONDS)
    monkeypatch.setattr(foresight, "_EACH_SECONDS", SECONDS)


@contextmanager
def image_of(files: Mapping[str, str], folder: Path) -> Iterator[str]:
    """Give an image of migrations alone, in which nothing could run; it has no name."""
    with tarfile.open(folder / "image.tar", "w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(f"{FOLDER}/{name}".lstrip("/"))
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    made = docker("import", str(folder / "image.tar"))
    try:
        yield made
    finally:
        docker("rmi", "--force", made)


@pytest.fixture
def image(tmp_path: Path) -> Iterator[str]:
    with image_of(TWO, tmp_path) as made:
        yield made


def marks_of(target: Target, engine: ContainerEngine, name: str) -> Marks:
    with open_reader(name, target.stores[name], engine) as reader:
        return reader.marks()


def test_an_image_tells_its_revisions_by_its_id_and_nothing_runs(engine: ContainerEngine, image: str) -> None:
    before = docker("ps", "--all", "--quiet", "--filter", f"ancestor={image}")
    migrations = Migrations(folders=(FOLDER,), store="mysql", table=TABLE)
    found = revisions_of(engine, image, migrations, SECONDS)
    assert found.before == {FIRST: (), SECOND: (FIRST,)}
    assert found.heads == {SECOND}
    with pytest.raises(Unverifiable, match="Could not find the file"):
        revisions_of(engine, image, migrations.model_copy(update={"folders": ("/nowhere",)}), SECONDS)
    assert docker("ps", "--all", "--quiet", "--filter", f"ancestor={image}") == before == ""


def test_the_database_tells_the_revision_that_it_has(target: Target, engine: ContainerEngine) -> None:
    store = target.stores["mysql"]
    with open_reader("mysql", store, engine) as reader:
        assert reader.revisions(TABLE) == (FIRST,)
        assert reader.revisions("imagedb.no_such_table") == ()


def test_a_database_one_revision_ahead_of_its_image_is_refused(
    target: Target, engine: ContainerEngine, tmp_path: Path
) -> None:
    section = {"folders": (FOLDER,), "store": "mysql", "table": TABLE}
    application = target.application.model_copy(update={"migrations": {"backend": Migrations(**section)}})
    known = target.model_copy(update={"application": application})
    baseline = Baseline(tmp_path, target.name, "2026-12-03T12:00:00+00:00", facts("0" * 40))
    plan = Plan(RollbackRequest(RollbackKind.SERVICE, "0" * 40, ("backend",)), baseline, (("backend",),))
    # The database is at FIRST: one image knows it, the other is of a time before it.
    for files, expected in ((TWO, Fit.FITS), ({"0.py": revision("0a1b2c3d4e5f")}, Fit.REFUSED)):
        with image_of(files, tmp_path) as made:
            before = {service: [one.id for one in found] for service, found in engine.containers().items()}
            (judged,) = foresee(known, replace(plan, images={"backend": made}), engine)
            assert (judged.what, judged.judgement.fit) == ("migrations of backend", expected), judged
            after = {service: [one.id for one in found] for service, found in engine.containers().items()}
            assert after == before


def test_a_whole_stack_is_judged(target: Target, engine: ContainerEngine, tmp_path: Path) -> None:
    there = [one for found in engine.containers().values() for one in found]
    containers = tuple(
        RecordedContainer(one.service, one.name, one.image, "sha256:another", None, None, ()) for one in there
    )
    stores = {
        name: RecordedStore(target.stores[name].kind, "", {}, marks_of(target, engine, name))
        for name in JUDGED
    }
    # In addition to its own version, MongoDB has that of its files.
    assert minor_version(stores["mongodb"].marks, "fcv")
    recorded = replace(facts("0" * 40), containers=containers, stores=stores)
    baseline = Baseline(tmp_path, target.name, "2026-12-03T12:00:00+00:00", recorded)
    images = {one.service: "sha256:another" for one in there}
    plan = Plan(RollbackRequest(RollbackKind.FULL, "0" * 40), baseline, (("backend",),), images)
    judged = foresee(target, plan, engine)
    found = {one.what.partition(",")[0]: one.judgement.fit for one in judged}
    fits = {f"data of {name}": Fit.FITS for name in JUDGED}
    assert found == {"migrations": Fit.UNKNOWN, **fits}, judged


def test_a_database_that_a_restore_of_the_whole_server_would_overwrite_refuses_it(
    target: Target, engine: ContainerEngine, operators: Operators, tmp_path: Path
) -> None:
    baseline = Baseline(tmp_path, target.name, "2026-12-03T12:00:00+00:00", facts("0" * 40))
    plan = Plan(
        RollbackRequest(RollbackKind.DATABASE, "0" * 40, ("milvus",)), baseline, (), stores=("milvus",)
    )

    def judged() -> Foreseen:
        (found,) = [one for one in foresee(target, plan, engine) if one.what.startswith("what milvus holds")]
        return found

    assert judged().judgement.fit is Fit.FITS
    with damage.database_of_another(operators, empty=True):
        assert judged().judgement.fit is Fit.FITS
    with damage.database_of_another(operators) as name:
        found = judged()
        assert (found.judgement.fit, found.judgement.reason) == (Fit.REFUSED, f"database {name}")
    assert judged().judgement.fit is Fit.FITS


@pytest.mark.parametrize("name", KEPT)
def test_a_backup_has_the_marks_of_its_server(
    target: Target, engine: ContainerEngine, control: ComposeControl, name: str, tmp_path: Path
) -> None:
    store = target.stores[name]
    format_of = descriptor_of(store).format_of
    open_keeper(name, store, engine, control, 120.0).back_up(tmp_path)
    kept, told = read_details(tmp_path), marks_of(target, engine, name)
    assert {mark: kept[mark] for mark in told} == dict(told)
    assert judge(format_of, kept, told).fit is Fit.FITS
    major = int(str(told["server"]).partition(".")[0])
    older = {**told, "server": f"{major - 1}.0.0", "fcv": f"{major - 1}.0"}
    assert judge(format_of, kept, older).fit is Fit.REFUSED
