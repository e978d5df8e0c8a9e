"""State of the application in volumes: which store has it, what goes back together, and a cut answer."""

from __future__ import annotations

import io
import tarfile
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest

from reports.answers.outline import outline
from rollproof.backups.stray_mounts import require_held, stray_mounts
from rollproof.engines.engine import Container, ContainerEngine, Mount
from rollproof.errors import ActionFailed, Unverifiable
from rollproof.planning.plan import plan_database
from rollproof.profile.mistakes import ProfileProblem
from rollproof.profile.profile import Target, load_target
from rollproof.profile.sections import NamePlace, Reference
from rollproof.stores.contract import Pace
from rollproof.stores.mounts.descriptor import MountsProfile
from rollproof.stores.mounts.reader import MountsReader
from rollproof.stores.reach import ENGINE, Readable
from rollproof.stores.references import follow
from tests.conftest import write_profile
from tests.world.git import git
from tests.world.sandbox import Sandbox

HELD = "backend:/app/versions"
STATE = f"""
[stores.state]
kind = "mounts"
risk = "low"
held = ["{HELD}"]
together = ["redis"]
"""


def _loaded(folder: Path, more: str = STATE, **changes: str) -> Target:
    path = write_profile(folder, more)
    text = path.read_text()
    for before, after in changes.items():
        text = text.replace(before, after)
    path.write_text(text)
    return load_target(path)


def test_a_service_that_stays_for_maintenance_holds_no_state(tmp_path: Path) -> None:
    more = STATE + '[application.maintenance]\nservice = "proxy"\non = ["a"]\noff = ["b"]\n'
    services = {'services = ["backend"]': 'services = ["backend", "proxy"]'}
    assert _loaded(tmp_path, more, **services).stores["state"].mounts == (("backend", "/app/versions"),)
    with pytest.raises(ProfileProblem, match="expected names among backend, observed proxy"):
        _loaded(tmp_path, more.replace(HELD, "proxy:/cache"), **services)


def test_what_belongs_together_goes_back_together(tmp_path: Path) -> None:
    target = _loaded(tmp_path)
    assert target.together("redis") == ("redis", "state")
    assert target.together("state") == ("state", "redis")


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    """A target on release 2, whose two stores belong together; the backend's volumes hold one of them."""
    text = sandbox.profile.read_text()
    sandbox.profile.write_text(text.replace('kind = "mysql"\n', 'kind = "mysql"\ntogether = ["redis"]\n'))
    sandbox.target = load_target(sandbox.profile)
    return sandbox


def test_a_database_rollback_restores_and_keeps_all_that_belong_together(sandbox: Sandbox) -> None:
    plan = plan_database(sandbox.target, "redis")
    assert plan.stores == ("redis", "mysql")
    incident = sandbox.new_incident()
    sandbox.run(plan, incident)
    assert {name: keeper.words["a"] for name, keeper in sandbox.keepers.items()} == dict.fromkeys(
        ("redis", "mysql"), "of release 1"
    )
    (safety,) = (sandbox.target.folders.backups / "safety").iterdir()
    assert {path.name for path in safety.iterdir() if path.is_dir()} == {"redis", "mysql"}


def test_services_whose_volumes_went_back_are_re_created_and_others_started(sandbox: Sandbox) -> None:
    plan = replace(plan_database(sandbox.target, "mysql"), recreated=("backend",))
    there = {
        name: 2 * (SimpleNamespace(id=name, revision=None, image_id=f"sha256:{name}"),)
        for name in plan.stopped
    }
    sandbox.engine.containers.return_value = there
    incident = sandbox.new_incident()
    sandbox.run(plan, incident)
    (up,) = sandbox.control.recreate.call_args_list
    assert up.args == ({"backend": "sha256:backend"},)
    assert up.kwargs["replicas"] == {"backend": 2}
    started = [call.args[0] for call in sandbox.control.start.call_args_list]
    assert started[-1] == ["worker", "frontend"]
    said = [changes for _, changes in outline(sandbox.target, plan)]
    assert said[-1].startswith("re-creates backend, whose volumes went back")
    assert said[-1].endswith("starts worker, frontend as they are")


def test_services_with_a_volume_of_any_store_that_goes_back_are_re_created(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.profile.write_text(sandbox.profile.read_text() + STATE)
    monkeypatch.setattr("rollproof.planning.plan._whole_backup", lambda *_: None)
    assert plan_database(load_target(sandbox.profile), "redis").recreated == ("backend",)


# Mounts of no store.


class Engine:
    """Says what the containers mount."""

    def __init__(self, **mounts: tuple[Mount, ...]) -> None:
        self._mounts = mounts

    def containers(self) -> dict[str, tuple[Container, ...]]:
        return {
            service: (
                cast(
                    "Container",
                    SimpleNamespace(
                        id=service,
                        name=f"t-{service}-1",
                        mounts=mounts,
                        completed=service.endswith("-init"),
                    ),
                ),
            )
            for service, mounts in self._mounts.items()
        }


WITHOUT_DATA = ("/etc/localtime", "/var/run/docker.sock", "/dev", "/dev/shm", "/proc", "/sys/fs/cgroup")  # noqa: S108 - compared


def _volume(place: str, name: str = "project_versions", *, writable: bool = True) -> Mount:
    return Mount(name, "volume", place, f"/engine/{name}", writable)


def _bind(source: Path) -> Mount:
    return Mount(str(source), "bind", f"/{source.name}", str(source))


def _engine(**mounts: tuple[Mount, ...]) -> ContainerEngine:
    return cast("ContainerEngine", Engine(**mounts))


def test_every_mount_that_can_be_written_to_is_of_a_store_or_stateless(tmp_path: Path) -> None:
    target = _loaded(tmp_path, "")
    folder = str(tmp_path / "uploads")
    engine = _engine(
        backend=(
            _volume("/app/versions"),
            _volume("/certificates", "certificates", writable=False),
            Mount(folder, "bind", "/uploads", folder),
            Mount("", "tmpfs", "/run", ""),
            *map(_bind, map(Path, WITHOUT_DATA)),
        ),
        redis=(_volume("/data", "redis"),),
    )
    assert stray_mounts(target, engine) == {
        HELD: "volume project_versions",
        "backend:/uploads": f"folder {folder}",
    }
    with pytest.raises(ActionFailed, match="HINT: ") as refused:
        require_held(target, engine)
    assert f'kind = "mounts", risk = "medium", held = ["{HELD}", "backend:/uploads"]' in str(refused.value)
    more = STATE + '[application.stateless]\n"backend:/uploads" = "thumbnails, made again when asked for"\n'
    require_held(_loaded(tmp_path, more), engine)


def test_a_volume_is_declared_stateless_once_whichever_services_mount_it(tmp_path: Path) -> None:
    weights = _volume("/weights", "weights")
    engine = _engine(backend=(_volume("/app/versions"), weights), fetcher=(weights,))
    more = STATE + '[application.stateless]\n"backend:/weights" = "fetched again at each start"\n'
    assert not stray_mounts(_loaded(tmp_path, more), engine)


def test_a_folder_of_the_repository_is_code_as_far_as_git_knows_it(tmp_path: Path) -> None:
    target = _loaded(tmp_path, "")
    repository = tmp_path / "application"
    for name in ("code/app.py", "code/.idea/modules.xml", "mixed/app.py", "settings.yaml"):
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text("x")
    (repository / ".gitignore").write_text("uploads/\nmixed/generated/\n*.db\n__pycache__\n.env\n")
    for command in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message", "release 1")):
        git(repository, *command)
    kept = ("code/__pycache__/app.pyc", "code/.env", "code/node_modules/x.js", "code/.idea/one.xml")
    state = ("uploads/one.pdf", "mixed/generated/two.py", "data.db")
    for name in (*kept, *state):
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text("x")
    (repository / "empty").mkdir()
    places = ("code", "mixed", "settings.yaml", "uploads", "data.db", "empty")
    engine = _engine(backend=tuple(_bind(repository / name) for name in places))
    assert stray_mounts(target, engine) == {
        "backend:/mixed": f"folder {repository}/mixed, where git does not know mixed/generated/",
        "backend:/uploads": f"folder {repository}/uploads, where git does not know uploads/",
        "backend:/data.db": f"folder {repository}/data.db, where git does not know data.db",
        "backend:/empty": f"folder {repository}/empty, where git does not know empty/",
    }
    (repository / ".git").rename(tmp_path / "elsewhere")
    with pytest.raises(ActionFailed, match="git ls-files"):
        stray_mounts(target, engine)


def test_a_service_that_the_profile_does_not_name_may_hold_state_too(tmp_path: Path) -> None:
    target = _loaded(tmp_path, "")
    search = (_volume("/index", "index"), _volume("/data", "redis"))
    weights = (_volume("/weights", "weights"),)
    engine = _engine(search=search, **{"weights-init": weights}, redis=(_volume("/data", "redis"),))
    told = "volume index, of a service that the profile does not name"
    assert stray_mounts(target, engine) == {"search:/index": told}
    held = (_volume("/app/versions"),)
    redis = (_volume("/data", "redis"),)
    cron = (_volume("/versions"),)
    engine = _engine(backend=held, search=search, cron=cron, redis=redis, **{"once-init": held})
    assert stray_mounts(_loaded(tmp_path), engine) == {
        "search:/index": told,
        "cron:/versions": (
            "volume project_versions of a store, whose writer no rollback stops,"
            " of a service that the profile does not name"
        ),
    }
    more = '[application.stateless]\n"search:/index" = "made again from the documents"\n'
    assert set(stray_mounts(_loaded(tmp_path, STATE + more), engine)) == {"cron:/versions"}


def test_a_volume_of_a_store_or_of_two_services_is_held_once(tmp_path: Path) -> None:
    services = {'services = ["backend"]': 'services = ["backend", "worker"]'}
    target = _loaded(tmp_path, **services)
    worker = (_volume("/elsewhere"), _volume("/data", "redis"))
    engine = _engine(backend=(_volume("/app/versions"),), worker=worker, redis=(_volume("/data", "redis"),))
    assert stray_mounts(target, engine) == {}


def test_a_service_that_stays_for_maintenance_may_only_read_what_goes_back(tmp_path: Path) -> None:
    more = STATE + '[application.maintenance]\nservice = "proxy"\non = ["a"]\noff = ["b"]\n'
    target = _loaded(tmp_path, more, **{'services = ["backend"]': 'services = ["backend", "proxy"]'})
    backend = (_volume("/app/versions"),)
    engine = _engine(backend=backend, proxy=(_volume("/srv", writable=False),))
    assert stray_mounts(target, engine) == {}
    assert stray_mounts(target, _engine(backend=backend, proxy=(_volume("/srv"),))) == {
        "proxy:/srv": "volume project_versions of a store, whose writer no rollback stops"
    }


# What the engine sends of a mount.


def _tar(*names: str) -> bytes:
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size, info.type = (0, tarfile.DIRTYPE) if name.endswith("/") else (600, tarfile.REGTYPE)
            tar.addfile(info, io.BytesIO(b"x" * info.size))
        length = tar.offset
    # Without the padding to a record, as the engine sends it.
    return found.getvalue()[: length + 1024]


def _content(sent: bytes, *mounts: Mount) -> MountsReader:
    engine: Any = _engine(backend=mounts or (_volume("/app/versions"),))
    engine.files = lambda *_: nullcontext(iter([sent[:700], sent[700:]]))
    return _reader(engine)


def _profile(*held: str) -> MountsProfile:
    return MountsProfile(kind="mounts", risk="low", held=held or (HELD,), together=())


def _reader(engine: Any) -> MountsReader:  # noqa: ANN401 - a stand-in
    return MountsReader(Readable("state", _profile(), ENGINE, engine=engine))


def _keys(content: MountsReader) -> set[str]:
    return {record.key for _, record in content.records(HELD, ("",), [0], Pace())}


def test_an_answer_that_was_cut_is_not_taken_for_fewer_files() -> None:
    whole = _tar("versions/", "versions/a", "versions/b")
    assert _keys(_content(whole)) == {"a", "b"}
    # The engine ends its answer in order where it could not read a file to its end.
    for length in range(0, len(whole), 512):
        with pytest.raises(Unverifiable, match="HINT: ") as cut:
            _keys(_content(whole[:length]))
        assert "store state" in str(cut.value)


def test_a_row_that_names_a_file_which_is_gone_dangles() -> None:
    content = _content(_tar("versions/", "versions/a", "versions/b/", "versions/b/c"))
    for field, before in (("path", ""), ("place", "/app/versions/")):
        named = [(f"{before}{name}",) for name in ("a", "b/c", "b")]
        rows = Mock(names=Mock(return_value=iter(named)))
        reference = Reference(
            referencing=NamePlace(store="rows", collection="shop.files", fields=("file",)),
            referenced=NamePlace(store="state", collection=HELD, fields=(field,)),
        )
        stores: dict[str, Any] = {"rows": rows, "state": content}
        found = follow(reference, stores.__getitem__)
        assert (found.records, found.dangling, found.first) == (3, 1, ((f"{before}b",),))


def test_replicas_with_a_volume_each_are_refused() -> None:
    both = tuple(SimpleNamespace(id=n, name=n, mounts=(_volume("/app/versions", n),)) for n in ("one", "two"))
    with pytest.raises(Unverifiable, match="2 replicas with one each"):
        _reader(SimpleNamespace(containers=lambda: {"backend": both})).counts()


def test_a_file_that_is_mounted_alone_is_refused_before_it_counts_as_backed_up() -> None:
    content = _content(_tar("data.db"), Mount("/srv/data.db", "bind", "/app/versions", "/srv/data.db"))
    with pytest.raises(Unverifiable, match=r"a file.*\nHINT: mount the folder") as refused:
        _keys(content)
    assert "expected a folder with files" in str(refused.value)


# A SQLite file and its log, which are read one after the other.
