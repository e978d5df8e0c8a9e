"""What will not work after a rollback, known before anything stops: migrations, and formats of data."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rollback_actions.backup import whole_backup
from rollback_actions.rollback.checkout import check_out
from rollproof.backups.sets import read_backup
from rollproof.baseline.facts import RecordedStore
from rollproof.engines.engine import ContainerEngine, Mount
from rollproof.errors import ExitCode, Unverifiable
from rollproof.monitoring.assessment import with_code
from rollproof.planning.foresight import (
    Foreseen,
    UnknownRevisions,
    foresee,
    not_judged,
    problems,
    revisions_of,
)
from rollproof.planning.plan import Plan, plan_database, plan_emergency, plan_full, plan_service
from rollproof.planning.refusals import Allowed, Asked, refusals
from rollproof.planning.tree import Action, Decision
from rollproof.profile.application_profile import Migrations
from rollproof.profile.data_formats import Fit
from rollproof.profile.profile import Target, load_target
from rollproof.stores.package import MANIFEST
from rollproof.stores.registry import ReaderOpener, open_reader
from rollproof.system.record_files import sealed_json
from rollproof.system.side_by_side import Question, wait_for
from tests.unit.command_line import Ran, tree
from tests.world.sandbox import Sandbox, begun_earlier, image, steps_in
from tests.world.stores import Content, WordReader

FOLDER = "/srv/app/migrations/versions"
MIGRATIONS = f"""
[application.migrations.backend]
folders = ["{FOLDER}"]
store = "mysql"
table = "imagedb.alembic_version"
"""
FIRST, SECOND, THIRD = "4f1c8a90d2b7", "8d02e6b71c3f", "b7e5d1f0a9c4"
Files = Mapping[str, str]


def revision(name: str, *before: str) -> str:
    """Return a revision's file as alembic writes it."""
    down = None if not before else before[0] if len(before) == 1 else before
    return (
        f'"""a change\n\nRevision ID: {name}\n"""\nfrom typing import Sequence, Union\n'
        "from alembic import op\nimport sqlalchemy as sa\n\n"
        f"revision: str = {name!r}\ndown_revision: Union[str, Sequence[str], None] = {down!r}\n"
        "branch_labels: Union[str, Sequence[str], None] = None\n\ndef upgrade() -> None:\n    pass\n"
    )


TWO = {"1.py": revision(FIRST), "2.py": revision(SECOND, FIRST), "__init__.py": ""}


@dataclass
class Engine:
    """Images by id with the files of one folder, and containers; no image has a name here."""

    images: dict[str, Files] = field(default_factory=dict)
    there: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    own: str = "AAAA"

    def id(self) -> str:
        return self.own

    def containers(self) -> dict[str, tuple[Any, ...]]:
        return self.there

    @contextmanager
    def image_files(self, name: str, path: str, deadline: float) -> Iterator[Iterator[bytes]]:
        assert deadline > 0
        if name not in self.images:
            raise Unverifiable(what="image", expected="a", observed="no such image", source="b", hint="c")
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.addfile(folder_of(path))
            for file, text in self.images[name].items():
                data = text.encode()
                info = tarfile.TarInfo(f"{path.rpartition('/')[2]}/{file}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        whole = archive.getvalue()
        yield iter([whole[:700], whole[700:]])


def folder_of(path: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path.rpartition("/")[2])
    info.type = tarfile.DIRTYPE
    return info


def container(image_id: str, *mounts: str) -> Any:  # noqa: ANN401 - as much of one as is asked for
    made = tuple(Mount(name="v", kind="volume", destination=place, source="") for place in mounts)
    return SimpleNamespace(image_id=image_id, mounts=made)


def heads_of(files: Files, folders: Sequence[str] = (FOLDER,)) -> Any:  # noqa: ANN401
    engine = cast("ContainerEngine", Engine({"sha256:1": files}))
    migrations = Migrations(folders=folders, store="mysql", table="d.alembic_version")
    return revisions_of(engine, "sha256:1", migrations, 1.0)


# --- migrations ---


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "no revision in"),
        ({"env.py": "x = 1"}, "no revision in"),
        ({"1.py": revision(SECOND, FIRST)}, f"the image lacks {FIRST}"),
        ({"1.py": "revision = made()\ndown_revision = None"}, "does not say its revision literally"),
        ({"1.py": "def upgrade("}, "does not say its revision literally"),
        ({"1.py": "revision = 7\ndown_revision = None"}, "a revision that is no text"),
        ({**TWO, "old/3.py": revision(THIRD)}, "below the folder: name its own folder too"),
    ],
)
def test_files_that_do_not_tell_the_revisions_are_not_judged(files: Files, words: str) -> None:
    with pytest.raises(UnknownRevisions, match=words):
        heads_of(files)


def test_without_a_migration_at_its_start_only_an_image_of_the_same_revision_fits() -> None:
    assert heads_of(TWO).judge([SECOND], at_start=False).fit is Fit.FITS
    assert heads_of(TWO).judge([FIRST], at_start=False).fit is Fit.UNKNOWN


def test_several_folders_are_one_history() -> None:
    assert heads_of(TWO, (FOLDER, FOLDER)).heads == {SECOND}


DJANGO = """
from django.db import migrations

class Migration(migrations.Migration):
    replaces = [{replaces}]
    dependencies = [migrations.swappable_dependency(USER), ("auth", "0001_initial"), {before}]
    operations = []
"""
SHOP = {
    "0003_c.py": DJANGO.format(before="('shop', '0002_b')", replaces=""),
    "0002_b.py": DJANGO.format(before="", replaces="('shop', '0001_a')"),
    "__init__.py": "",
}


@pytest.mark.parametrize(
    ("applied", "fit", "reason"),
    [
        (("0001_a", "0002_b", "0003_c"), Fit.FITS, "revision shop.0003_c, the image's head"),
        (("0001_a", "0002_b"), Fit.FITS, "from which the image migrates to its head shop.0003_c"),
        (("0001_a", "0002_b", "0003_c", "0004_d"), Fit.UNKNOWN, "revision shop.0004_d is none of the image"),
        ((), Fit.UNKNOWN, "the database has no revision"),
    ],
)
def test_migrations_of_django_are_judged_by_app(applied: tuple[str, ...], fit: Fit, reason: str) -> None:
    engine = cast("ContainerEngine", Engine({"sha256:1": SHOP}))
    migrations = Migrations(folders=("/srv/shop/migrations",), store="db", table="public.django_migrations")
    found = revisions_of(engine, "sha256:1", migrations, 1.0)
    judgement = found.judge(["auth.0001_initial", *(f"shop.{name}" for name in applied)], at_start=True)
    assert judgement.fit is fit
    assert reason in judgement.reason


# --- a target ---


@dataclass
class Made:
    """A sandbox with migrations in the image of the backend, and what its database and stores say."""

    sandbox: Sandbox
    engine: Engine
    live: tuple[str, ...] = (FIRST,)
    marks: dict[str, Any] = field(default_factory=dict)
    open_reader: ReaderOpener = open_reader

    def keep(self, store: str, details: Mapping[str, Any]) -> None:
        """Have the newest backup of `store` hold these marks."""
        folder = self.sandbox.target.folders.backups / f"set-of-{self.sandbox.commit[:7]}" / store
        path = folder / MANIFEST
        path.write_bytes(sealed_json({**json.loads(path.read_bytes()), "details": details}))

    def foreseen(self, plan: Plan) -> dict[str, Any]:
        return {one.what: one for one in self.judged(plan)}

    def judged(self, plan: Plan, target: Target | None = None) -> tuple[Foreseen, ...]:
        engine = cast("ContainerEngine", self.engine)

        def wait(questions: Sequence[Question[Any]], _: float) -> None:
            wait_for(questions, 60.0)  # they answer, however busy this machine is

        return foresee(target or self.sandbox.target, plan, engine, self.open_reader, wait)

    def fit(self, plan: Plan, what: str) -> Fit:
        found: Fit = self.foreseen(plan)[what].judgement.fit
        return found


@pytest.fixture
def made(sandbox: Sandbox) -> Made:
    sandbox.profile.write_text(sandbox.profile.read_text() + MIGRATIONS)
    sandbox.target = load_target(sandbox.profile)
    engine = Engine({image("backend"): TWO}, {"backend": (container("sha256:new"),)})
    made = Made(sandbox, engine)

    class Server(Content):
        def marks(self) -> Any:  # noqa: ANN401
            if self.name not in made.marks:
                raise Unverifiable(what=self.name, expected="a", observed="refused", source="b", hint="c")
            return made.marks[self.name]

        def revisions(self, _table: str) -> tuple[str, ...]:
            return made.live

    made.open_reader = lambda name, *_, **__: Server(name, {})
    return made


def emergency(made: Made, *revisions: str) -> Plan:
    """Return the plan of an emergency rollback to a backup at `revisions`."""
    plan = plan_emergency(made.sandbox.target, made.sandbox.commit)
    assert plan.backup is not None
    return replace(plan, backup=replace(plan.backup, revisions={"backend": revisions} if revisions else {}))


def test_a_service_goes_back_to_an_image_that_does_not_know_the_revision_of_now(made: Made) -> None:
    plan = plan_service(made.sandbox.target, "backend")
    made.live = (THIRD,)
    foreseen = made.judged(plan)
    (problem,) = refusals(Asked(made.sandbox.target, plan, Allowed(), foreseen))
    assert problem.exit_code is ExitCode.USAGE
    assert f"revision {THIRD} is none of the image, whose head is {SECOND}" in str(problem)
    assert "HINT: roll the data back with it" in str(problem)
    # A rollback that has begun was asked before: its end is better than its middle.
    assert [
        *refusals(Asked(made.sandbox.target, plan, Allowed(), foreseen, begun_earlier(plan.request)))
    ] == []
    for known in (FIRST, SECOND):
        made.live = (known,)
        assert made.fit(plan, "migrations of backend") is Fit.FITS


def test_data_that_goes_back_has_the_revision_of_the_backup(made: Made) -> None:
    made.live = (THIRD,)
    assert made.fit(emergency(made, SECOND), "migrations of backend") is Fit.FITS
    assert made.fit(emergency(made, THIRD), "migrations of backend") is Fit.REFUSED
    assert made.fit(emergency(made), "migrations of backend") is Fit.UNKNOWN
    # A full rollback leaves all data alone.
    full = plan_full(made.sandbox.target, made.sandbox.commit)
    assert made.fit(full, "migrations of backend") is Fit.REFUSED


def test_a_database_goes_back_below_the_image_that_runs(made: Made) -> None:
    plan = plan_database(made.sandbox.target, "mysql")
    assert plan.backup is not None
    plan = replace(plan, backup=replace(plan.backup, revisions={"backend": (SECOND,)}))
    made.engine.images = {"sha256:new": TWO}
    assert made.fit(plan, "migrations of backend") is Fit.FITS
    # At its start it would migrate the data again that has just gone back.
    made.engine.images = {"sha256:new": {**TWO, "3.py": revision(THIRD, SECOND)}}
    assert made.fit(plan, "migrations of backend") is Fit.REFUSED
    made.engine.images = {"sha256:new": {"1.py": revision(FIRST)}}
    assert made.fit(plan, "migrations of backend") is Fit.REFUSED
    made.engine.there = {}
    assert made.fit(plan, "migrations of backend") is Fit.UNKNOWN


def test_a_database_that_later_code_has_migrated_goes_back_with_its_code(made: Made) -> None:
    """The working copy is on release 2, the baseline is of release 1."""
    sandbox = made.sandbox
    alone = Decision(Action.DATABASE, "mysql is in trouble", ("mysql",))
    assert with_code(sandbox.target, alone).action is Action.EMERGENCY
    for other in (Decision(Action.DATABASE, "…", ("redis",)), Decision(Action.SERVICE, "…", ("backend",))):
        assert with_code(sandbox.target, other) is other
    check_out(sandbox.target.application.repository, sandbox.commit)
    assert with_code(sandbox.target, alone) is alone


def with_baseline(plan: Plan, **changes: Any) -> Plan:  # noqa: ANN401
    facts = replace(plan.baseline.facts, **changes)
    return replace(plan, baseline=replace(plan.baseline, facts=facts))


def test_migrations_that_are_made_at_start_are_not_judged(made: Made) -> None:
    plan = plan_service(made.sandbox.target, "backend")
    made.live = (THIRD,)
    for place in (FOLDER, "/srv/app"):
        made.engine.there = {"backend": (container("sha256:new", place),)}
        foreseen = made.foreseen(plan)
        assert foreseen["migrations of backend"].judgement.fit is Fit.UNKNOWN
        assert [*not_judged(foreseen.values())] == [
            f"not judged: migrations of backend: they are in a mount ({place}), not in the image"
        ]
    made.engine.there = {"backend": (container("sha256:new", "/srv/app/migrations/versions2"),)}
    assert made.fit(plan, "migrations of backend") is Fit.REFUSED
    containers = tuple(
        replace(one, places=(FOLDER,)) if one.service == "backend" else one
        for one in plan.baseline.facts.containers
    )
    assert made.fit(with_baseline(plan, containers=containers), "migrations of backend") is Fit.UNKNOWN


def test_a_backup_records_what_stayed_as_it_was_meanwhile(sandbox: Sandbox, tmp_path: Path) -> None:
    application = sandbox.target.application
    named = {name: Migrations(folders=(FOLDER,), store="mysql", table=f"d.{name}") for name in "abc"}
    target = sandbox.target.model_copy(
        update={"application": application.model_copy(update={"migrations": named})}
    )
    answers: Iterator[str] = iter(("1", "1", "", "1", "2", "3"))

    class Server(WordReader):
        def revisions(self, _table: str) -> tuple[str, ...]:
            if answer := next(answers):
                return (answer,)
            raise Unverifiable(what="mysql", expected="an answer", observed="none", source="b", hint="c")

    outside = replace(sandbox.outside, open_reader=lambda name, *_, **__: Server(sandbox.keepers[name]))
    with steps_in(tmp_path / "backup.jsonl") as steps:
        taken = whole_backup.back_up(target, sandbox.commit, sandbox.engine, sandbox.control, steps, outside)
    assert taken.revisions == {"a": ("1",)}
    assert read_backup(taken.folder / "set.json") == taken


# --- formats of data ---


NEW, OLD = {"product": "redis", "server": "8.0.3"}, {"product": "redis", "server": "7.2.5"}


def test_a_backup_of_a_newer_server_is_refused(made: Made) -> None:
    plan = plan_database(made.sandbox.target, "redis")
    made.keep("redis", NEW)
    made.marks["redis"] = OLD
    (problem,) = problems(made.foreseen(plan).values())
    assert "data of redis 8.0.3, for redis 7.2.5: an earlier one" in str(problem)
    made.marks["redis"] = NEW
    assert made.fit(plan, "data of redis") is Fit.FITS


def test_a_server_that_the_rollback_replaces_must_read_the_data_of_now(made: Made) -> None:
    plan = plan_full(made.sandbox.target, made.sandbox.commit)
    stores = {"redis": RecordedStore("redis", "Redis 7.2.5", {}, OLD)}
    plan = replace(with_baseline(plan, stores=stores), images={**plan.images, "redis": "sha256:r7"})
    made.marks["redis"] = NEW
    made.engine.there["redis"] = (container("sha256:r8"),)
    (problem,) = problems(made.foreseen(plan).values())
    assert "HINT: leave that server out of application.services" in str(problem)
    made.engine.there["redis"] = (container("sha256:r7"),)
    assert [*problems(made.foreseen(plan).values())] == []


# --- who asks ---


@pytest.fixture
def refused(made: Made, monkeypatch: pytest.MonkeyPatch) -> Made:
    """A target whose database the recorded image does not know."""
    made.live = (THIRD,)
    for place in ("reports.answers.decision", "rollback_actions.rollback.rollback_run"):
        monkeypatch.setattr(f"{place}.foresee", lambda _, plan, __: made.judged(plan))
    return made


def test_the_command_is_refused_and_has_changed_nothing(run: Ran, refused: Made) -> None:
    assert refused.sandbox is run.sandbox
    before = tree(run.sandbox.folder)
    said_then = run("rollback", "service", "backend", code=ExitCode.USAGE)
    assert f"revision {THIRD} is none of the image" in said_then
    assert tree(run.sandbox.folder) == before
    assert not run.sandbox.control.stop.called


def test_the_plan_asks_the_same(run: Ran, refused: Made) -> None:
    assert f"revision {THIRD} is none of the image" in run("plan", "--service=backend")
    refused.live = ()
    assert "\nnot judged: migrations of backend: the database has no revision" in run(
        "plan", "--service=backend"
    )
