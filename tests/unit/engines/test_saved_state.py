"""What is written down before a migration, the working copy, and a rollback that is tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollproof.baseline.folder import load_baseline
from rollproof.errors import ActionFailed, Unverifiable
from rollproof.git.migration_files import changed_names, content_at
from rollproof.git.repository import read_working_copy
from rollproof.git.saved_commit import file_of, read_saved_commit
from rollproof.incident.incident import new_incident
from rollproof.incident.trials import Part, PartTrial
from rollproof.monitoring.rollback_request import Kind, RollbackRequest
from rollproof.planning import rollback_trial
from rollproof.planning.foresight import Foreseen
from rollproof.planning.lock_state import LockState
from rollproof.planning.rollback_trial import RollbackTrial
from rollproof.planning.unfinished import Unfinished
from rollproof.profile.data_formats import refused
from rollproof.system.process import Life
from tests.unit.command_line import Ran
from tests.unit.sandbox import SERVICES, Sandbox, git, image

NAMED = "\n[premigration.state]\ncommit_file = 'saved/commit.txt'\n"


@pytest.fixture
def repository(sandbox: Sandbox) -> Path:
    """The working copy, on the commit that the baseline is of."""
    folder = sandbox.target.application.repository
    git(folder, "checkout", "--quiet", sandbox.commit)
    return folder


@pytest.mark.parametrize(
    ("content", "observed"),
    [
        (None, "no such file"),
        (b"", "''"),
        (b"0123456789abcdef0123456789abcdef01234567\n", "0123456789abcdef0123456789abcdef01234567"),
        (b"a\nb\n", r"'a\nb\n'"),
        (b"HEAD -> main", "'HEAD -> main'"),
        (b"\xff\xfe", "'\\\\xff\\\\xfe'"),
    ],
)
def test_what_the_file_holds_is_said(
    repository: Path, tmp_path: Path, content: bytes | None, observed: str
) -> None:
    file = tmp_path / "commit.txt"
    if content is not None:
        file.write_bytes(content)
    assert read_saved_commit(file, repository).observed == observed


def test_the_commit_is_saved_where_the_profile_says(sandbox: Sandbox, run: Ran, repository: Path) -> None:
    sandbox.profile.write_text(sandbox.profile.read_text(encoding="utf-8") + NAMED, encoding="utf-8")
    said = run("save-state")
    file = sandbox.folder / "saved" / "commit.txt"
    assert said == f"saved: {sandbox.commit} in {file}\n"
    saved = read_saved_commit(file, repository)
    assert saved.text == f"{saved.head}\n" == f"{sandbox.commit}\n"
    assert [path.name for path in file.parent.iterdir()] == ["commit.txt"]


def test_each_target_has_its_own_file_in_the_state_folder(
    sandbox: Sandbox, run: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    run("save-state")
    file = file_of(None, sandbox.target.name)
    saved = read_saved_commit(file, sandbox.target.application.repository)
    assert saved.text == f"{saved.head}\n"
    assert file.is_relative_to(tmp_path / "state")
    assert file_of(None, "another") != file
    assert file.parent.stat().st_mode & 0o077 == 0


def test_a_clean_working_copy_has_no_differences(repository: Path) -> None:
    exclude = repository / ".git" / "info" / "exclude"
    exclude.parent.mkdir(exist_ok=True)
    exclude.write_text("ignored\n")
    (repository / "ignored").write_text("x")
    assert read_working_copy(repository).differences == ()


def test_every_difference_is_named(repository: Path) -> None:
    for name in ("plain", "moved", "gone", "hidden"):
        (repository / name).write_text(name)
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "more")
    git(repository, "config", "status.showUntrackedFiles", "no")
    (repository / "plain").write_text("changed")
    git(repository, "mv", "moved", "to a place")
    (repository / "gone").unlink()
    (repository / "new file").write_text("x")
    (repository / "folder").mkdir()
    (repository / "folder" / "deep").write_text("x")
    git(repository, "update-index", "--assume-unchanged", "hidden")
    (repository / "hidden").write_text("changed")
    assert sorted(read_working_copy(repository).differences) == [
        "changed gone",
        "changed moved",
        "changed plain",
        "changed to a place",
        "hidden, which git was told not to look at",
        "untracked folder/deep",
        "untracked new file",
    ]


def test_a_submodule_counts_too(repository: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    git(library, "init", "--quiet")
    (library / "file").write_text("1")
    git(library, "add", ".")
    git(library, "commit", "--quiet", "--message", "1")
    git(
        repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "library"
    )
    git(repository, "commit", "--quiet", "--message", "library")
    assert read_working_copy(repository).differences == ()
    (repository / "library" / "file").write_text("2")
    assert read_working_copy(repository).differences == ("changed library",)
    git(repository / "library", "commit", "--quiet", "--all", "--message", "2")
    assert read_working_copy(repository).differences == ("changed library",)


def test_looking_does_not_write(repository: Path) -> None:
    index = repository / ".git" / "index"
    (repository / "compose.yaml").touch()
    before = index.read_bytes()
    read_working_copy(repository)
    assert index.read_bytes() == before


def test_files_of_a_migration_are_those_that_match(repository: Path) -> None:
    start = git(repository, "rev-parse", "HEAD")
    (repository / "db").mkdir()
    for name, content in (("db/1.sql", b"SELECT '\xff'\n\n"), ("db/notes.txt", b"x"), ("größe.sql", b"y")):
        (repository / name).write_bytes(content)
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "more")
    migration = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "--quiet", start)
    names = ("*.sql", "compose.*")
    assert list(changed_names(repository, migration, names)) == [("A", "db/1.sql"), ("A", "größe.sql")]
    assert content_at(repository, migration, "db/1.sql") == b"SELECT '\xff'\n\n"
    git(repository, "checkout", "--quiet", migration)
    assert list(changed_names(repository, start, names)) == [("D", "db/1.sql"), ("D", "größe.sql")]


@pytest.fixture
def trial(sandbox: Sandbox, repository: Path, monkeypatch: pytest.MonkeyPatch) -> RollbackTrial:
    """A trial without an engine: its lock is free, and it has every image."""
    assert repository == sandbox.target.application.repository
    monkeypatch.setattr(rollback_trial, "ComposeProject", lambda _: sandbox.control)
    monkeypatch.setattr(rollback_trial, "lock_state", lambda _: LockState())
    target = sandbox.target
    baseline = load_baseline(target.folders.baselines / "current", target.name, target.baseline_key)
    return RollbackTrial(target, baseline)


def problem(trial: PartTrial) -> str:
    assert trial.problem is not None, trial
    return str(trial.problem)


def test_every_part_of_a_rollback_that_is_possible_says_what_was_seen(
    trial: RollbackTrial, sandbox: Sandbox
) -> None:
    assert [trial.of(part).problem for part in Part] == [None] * len(Part)
    assert f"emergency {sandbox.commit[:12]}" in trial.of(Part.PLAN).seen
    assert trial.of(Part.IMAGES).seen == "3 images of 3 services are there, by id"
    assert trial.of(Part.CHECKOUT).seen == f"1 files of {sandbox.commit[:12]} were checked out"
    assert "describe 3 services" in trial.of(Part.COMPOSE_FILES).seen
    assert "not judged: data of redis: " in trial.of(Part.FORESIGHT).seen
    assert trial.of(Part.REFUSALS).seen == "nothing would refuse it; the lock is free"
    sandbox.control.require_images.assert_called_once_with(
        {service: image(service) for service in SERVICES}, deadline=rollback_trial.SECONDS
    )


def test_an_image_that_is_gone_is_seen_alone(trial: RollbackTrial, sandbox: Sandbox) -> None:
    gone = ActionFailed(what="image", expected="a", observed="no such image", source="docker", hint="x")
    sandbox.control.require_images.side_effect = gone
    assert trial.of(Part.IMAGES) == PartTrial(Part.IMAGES, problem=gone)
    assert [part for part in Part if trial.of(part).problem] == ["images"]


def test_an_object_that_is_gone_is_seen_by_the_checkout(trial: RollbackTrial, repository: Path) -> None:
    blob = git(repository, "rev-parse", "HEAD:compose.yaml")
    (repository / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    assert "git checkout-index of " in problem(trial.of(Part.CHECKOUT))
    assert "exit code" in problem(trial.of(Part.CHECKOUT))


def test_a_shallow_clone_is_seen(trial: RollbackTrial, repository: Path) -> None:
    (repository / ".git" / "shallow").write_text(git(repository, "rev-parse", "HEAD") + "\n")
    assert "observed a shallow clone" in problem(trial.of(Part.CHECKOUT))


def test_the_checkout_leaves_index_and_files_as_they_are(trial: RollbackTrial, repository: Path) -> None:
    (repository / "compose.yaml").write_text("changed")
    index = (repository / ".git" / "index").read_bytes()
    folders = sorted(path.name for path in (repository / ".git").iterdir())
    assert trial.of(Part.CHECKOUT).problem is None
    assert (repository / "compose.yaml").read_text() == "changed"
    assert (repository / ".git" / "index").read_bytes() == index
    assert sorted(path.name for path in (repository / ".git").iterdir()) == folders


def test_a_service_that_the_compose_files_do_not_have_is_seen(
    trial: RollbackTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollback_trial, "services_at", lambda *_: frozenset({"backend"}))
    assert "observed none called frontend, worker" in problem(trial.of(Part.COMPOSE_FILES))


def test_what_would_refuse_it_is_seen(trial: RollbackTrial, sandbox: Sandbox) -> None:
    target = sandbox.target
    incident = new_incident(target.folders.incidents, target.name)
    Unfinished.begin(incident, RollbackRequest(Kind.DATABASE, sandbox.commit, ("redis",)))
    assert f"observed one in incident {incident.id}" in problem(trial.of(Part.REFUSALS))


def test_what_would_not_work_after_it_is_seen(trial: RollbackTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    foreseen = Foreseen("data of redis", refused("an earlier one"), "data", "bring it back")
    monkeypatch.setattr(rollback_trial, "foresee", lambda *_: (foreseen,))
    assert "data of redis" in problem(trial.of(Part.FORESIGHT))
    assert [part for part in Part if trial.of(part).problem] == ["foresight"]


def test_a_lock_of_one_who_has_ended_or_that_cannot_be_read_is_seen(
    trial: RollbackTrial, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreadable = Unverifiable(what="lock", expected="a", observed="no engine", source="b", hint="c")
    monkeypatch.setattr(rollback_trial, "lock_state", lambda _: LockState(problem=unreadable))
    assert trial.of(Part.REFUSALS) == PartTrial(Part.REFUSALS, problem=unreadable)
    ended = LockState(life=Life.ENDED)
    monkeypatch.setattr(rollback_trial, "lock_state", lambda _: ended)
    again = RollbackTrial(sandbox.target, trial._baseline)
    assert "expected free, or held by a command that runs" in problem(again.of(Part.REFUSALS))
