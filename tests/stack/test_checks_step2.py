"""Step 2 on the real repository and engine: each fault of an item turns that item red.

A round is one run of the whole step with faults of several items: each fault turns its own item red, and no
other.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from rollproof.baseline.facts import Facts, RecordedContainer
from rollproof.incident.incident import incidents_of, new_incident
from rollproof.incident.trials import Part
from rollproof.monitoring.rollback_request import Kind, RollbackRequest
from rollproof.planning.unfinished import Unfinished
from staging.stack.stack import Stack
from staging.target.operators import Operators, undone
from tests.pytester.conftest import Outcome
from tests.stack import container_faults, damage
from tests.stack.container_faults import Containers
from tests.stack.scratch_project import docker
from tests.stack.verifier import Red, Verifier, expect

WAIT_SECONDS = 120.0
OTHER_COMMIT = "0123456789abcdef0123456789abcdef01234567"
SAVED, CLEAN = "test_commit_is_saved", "test_working_copy_is_clean"
BASELINE = "test_baseline_is_of_this_state"


def possible(part: str) -> str:
    return f"test_rollback_is_possible_now[{part}]"


PLAN, IMAGES, COMPOSE_FILES, FORESIGHT, REFUSALS = map(possible, Part)
# Without a plan it cannot be told what would not work, nor what would refuse it.
OF_A_PLAN = (PLAN, FORESIGHT, REFUSALS)


def git(repository: Path, *arguments: str) -> str:
    """Run git, as somebody, in a clone of a test's own."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    command = ["git", "-C", str(repository), *identity, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass
class Clone:
    """A clone of the application's repository, on the commit that runs; the stack's own is left alone.

    Faults put what they need into `options` and `variables` of the run.
    """

    verifier: Verifier
    stack: Stack
    folder: Path
    backup: Path
    containers: Containers
    undo: ExitStack
    options: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def head(self) -> str:
        return git(self.folder, "rev-parse", "HEAD")

    @property
    def second(self) -> str:
        """The commit of release 2: the migration that goes wrong."""
        return git(self.stack.state.application, "rev-parse", "release-2")

    @property
    def compose_files(self) -> list[str]:
        return [str(self.stack.root / "staging" / "compose.yaml"), str(self.folder / "compose.yaml")]

    @property
    def commit_file(self) -> Path:
        return self.folder.with_name("commit.txt")

    def run(self, migration: str, *options: str) -> Outcome:
        """Run step 2 on this clone."""
        variables = {
            "APPLICATION__REPOSITORY": str(self.folder),
            "ENGINE__FILES": json.dumps(self.compose_files),
            "PREMIGRATION__STATE__COMMIT_FILE": str(self.commit_file),
            **self.variables,
        }
        return self.verifier.run("step2", f"--migration={migration}", *self.options, *options, **variables)


@pytest.fixture(scope="module", autouse=True)
def backup(verifier: Verifier) -> Path:
    """A backup of the stack as its baseline has it: what a rollback goes back to."""
    return verifier.backed_up()


@pytest.fixture
def clone(
    verifier: Verifier, stack: Stack, containers: Containers, backup: Path, tmp_path: Path
) -> Iterator[Clone]:
    """A clone whose commit is saved."""
    folder = tmp_path / "application"
    git(tmp_path, "clone", "--quiet", "--no-hardlinks", str(stack.state.application), str(folder))
    with ExitStack() as undo:
        found = Clone(verifier, stack, folder, backup, containers, undo)
        found.commit_file.write_text(f"{found.head}\n")
        yield found


def notes(outcome: Outcome, check: str) -> str:
    return " ".join(note["text"] for note in outcome.results()[check]["notes"])


# A fault of one item: it breaks something, and says which checks are red for it.
Fault = Callable[[Clone], dict[str, Red]]


def not_saved(content: str | None, observed: str) -> Fault:
    """The file of the saved commit holds something else; `{head}` stands for what it should hold."""

    def inject(clone: Clone) -> dict[str, Red]:
        head = clone.head
        clone.commit_file.unlink()
        if content is not None:
            clone.commit_file.write_text(content.format(head=head, short=head[:12]))
        return {SAVED: ("failed", f"expected {head}", observed.format(short=head[:12]))}

    return inject


def not_clean(clone: Clone, said: str) -> dict[str, Red]:
    return {CLEAN: ("failed", f"as commit {clone.head[:12]} has it", said)}


def a_changed_file(clone: Clone) -> dict[str, Red]:
    (clone.folder / "README.md").write_text("changed")
    return not_clean(clone, "changed README.md")


def a_file_left(clone: Clone) -> dict[str, Red]:
    (clone.folder / "left over").write_text("x")
    return not_clean(clone, "untracked left over")


def a_merge_under_way(clone: Clone) -> dict[str, Red]:
    folder, before = clone.folder, clone.head
    (folder / "aside").write_text("x")
    git(folder, "add", "aside")
    git(folder, "commit", "--quiet", "--message", "aside")
    other = clone.head
    git(folder, "checkout", "--quiet", "--detach", before)
    git(folder, "merge", "--quiet", "--no-ff", "--no-commit", other)
    return not_clean(clone, "changed aside")


def a_commit_with_a_submodule_that_is_not_checked_out(clone: Clone) -> dict[str, Red]:
    """The working copy has moved on: neither baseline, backup nor saved commit are of it."""
    folder, recorded = clone.folder, clone.head
    source = str(clone.stack.state.application)
    git(folder, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", source, "library")
    git(folder, "commit", "--quiet", "--message", "library")
    git(folder, "submodule", "--quiet", "deinit", "--force", "library")
    moved = f"expected {clone.head}, observed {recorded}"
    no_plan: Red = ("failed", clone.head[:12])
    return {
        SAVED: ("failed", "saved commit: ", moved),
        BASELINE: ("failed", f"commit of the baseline: {moved}"),
        **dict.fromkeys(OF_A_PLAN, no_plan),
    }


def with_container(facts: Facts, service: str, /, **changed: object) -> Facts:
    """Return `facts` with another record of the container of `service`."""

    def record(container: RecordedContainer) -> RecordedContainer:
        return replace(container, **changed) if container.service == service else container  # type: ignore[arg-type]

    return replace(facts, containers=tuple(map(record, facts.containers)))


def recorded(clone: Clone, **changed: object) -> None:
    """Compare with a baseline that has another record of the backend."""
    baseline = clone.verifier.restated(lambda facts: with_container(facts, "backend", **changed))
    clone.options.append(f"--baseline={baseline}")


def a_record_without_a_configuration(clone: Clone) -> dict[str, Red]:
    recorded(clone, configuration=None)
    return {BASELINE: ("broken", "no configuration hash")}


def a_record_of_another_configuration(clone: Clone) -> dict[str, Red]:
    recorded(clone, configuration="0" * 64)
    return {BASELINE: ("failed", f"with configuration {'0' * 64}")}


def a_record_without_its_image(clone: Clone) -> dict[str, Red]:
    recorded(clone, image_id="")
    return {BASELINE: ("broken", "no image id"), IMAGES: ("failed", "look for the image of backend")}


def a_record_of_another_service(clone: Clone) -> dict[str, Red]:
    recorded(clone, service="other")
    return {
        BASELINE: ("broken", "backend: no container"),
        IMAGES: ("failed", "images of the baseline: ", "none for backend"),
    }


def an_image_that_is_gone(clone: Clone) -> dict[str, Red]:
    """The baseline is of an image that was there, and was removed since."""
    scratch = docker("commit", clone.containers.of("frontend").id)
    docker("image", "rm", scratch)
    recorded(clone, image_id=scratch)
    return {
        BASELINE: ("failed", f"of image {scratch}"),
        IMAGES: ("failed", f"look for the image of backend, {scratch}"),
    }


def no_backup(clone: Clone) -> dict[str, Red]:
    clone.variables["FOLDERS__BACKUPS"] = str(clone.folder.with_name("none"))
    why: Red = ("failed", "backup: expected a complete backup set of commit", "observed no complete set")
    return dict.fromkeys(OF_A_PLAN, why)


def a_backup_that_was_cut(clone: Clone) -> dict[str, Red]:
    files = (path for path in (clone.backup / "mysql").rglob("*") if path.is_file())
    kept = max(files, key=lambda path: path.stat().st_size)
    content = kept.read_bytes()
    clone.undo.callback(kept.write_bytes, content)
    kept.write_bytes(content[:-10])
    return dict.fromkeys(OF_A_PLAN, ("failed", kept.name))


def object_of(folder: Path, name: str) -> Path:
    """Return the file of a loose object; those of a pack are made loose first."""
    for pack in (folder / ".git" / "objects" / "pack").glob("*.pack"):
        moved = pack.rename(folder.with_name(pack.name))
        with moved.open("rb") as stream:
            subprocess.run(
                ["git", "-C", str(folder), "unpack-objects", "-q"], stdin=stream, check=True, timeout=60
            )
        for rest in pack.parent.glob(f"{pack.stem}.*"):
            rest.unlink()
    found = git(folder, "rev-parse", f"HEAD:{name}")
    return folder / ".git" / "objects" / found[:2] / found[2:]


def not_complete(name: str, *, cut: bool) -> Fault:
    """An object of the commit, of a file or of a folder, is gone or was cut."""

    def inject(clone: Clone) -> dict[str, Red]:
        path = object_of(clone.folder, name)
        content = path.read_bytes()
        path.unlink()
        if cut:
            path.write_bytes(content[: len(content) // 2])
        observed = f"of {clone.head[:12]} into a folder of its own"
        return {COMPOSE_FILES: ("failed", "compose files of a rollback: git ", observed)}

    return inject


def compose_files_that_cannot_be_read(clone: Clone) -> dict[str, Red]:
    broken = clone.folder.with_name("broken.yaml")
    broken.write_text("services: {frontend: {ports: 3}}\n")
    clone.variables["ENGINE__FILES"] = json.dumps([*clone.compose_files, str(broken)])
    return {COMPOSE_FILES: ("failed", "expected files that compose reads", "words that may quote a secret")}


def compose_files_that_lack_services(clone: Clone) -> dict[str, Red]:
    clone.variables["ENGINE__FILES"] = json.dumps(clone.compose_files[:1])
    return {COMPOSE_FILES: ("failed", "observed none called backend, worker, frontend")}


def too_long(clone: Clone) -> dict[str, Red]:
    clone.variables["ROLLBACK_SECONDS"] = "1"
    return {REFUSALS: ("failed", "expected 1 s at most", "rollback_seconds of the profile")}


def one_that_is_not_finished(clone: Clone) -> dict[str, Red]:
    incident = new_incident(clone.verifier.folder / "incidents", "staging")
    unfinished = Unfinished.begin(incident, RollbackRequest(Kind.DATABASE, clone.head, ("redis",)))
    clone.undo.callback(unfinished.end)
    return {REFUSALS: ("failed", f"observed one in incident {incident.id}")}


# The faults of one run.
ROUNDS: dict[str, tuple[Fault, ...]] = {
    "no commit file": (
        not_saved(None, "observed no such file"),
        a_changed_file,
        a_record_without_a_configuration,
        no_backup,
        not_complete("README.md", cut=True),
    ),
    "another commit": (
        not_saved(f"{OTHER_COMMIT}\n", f"observed {OTHER_COMMIT}"),
        a_file_left,
        an_image_that_is_gone,
        a_backup_that_was_cut,
        compose_files_that_lack_services,
    ),
    "two lines": (
        not_saved("{head}\n{head}\n", "observed '"),
        a_record_without_its_image,
        one_that_is_not_finished,
        compose_files_that_cannot_be_read,
    ),
    "a short commit": (
        not_saved("{short}", "observed {short} (from"),
        a_merge_under_way,
        a_record_of_another_service,
    ),
    "too long": (a_record_of_another_configuration, too_long),
    "a submodule": (a_commit_with_a_submodule_that_is_not_checked_out,),
}


@pytest.mark.parametrize("faults", ROUNDS.values(), ids=ROUNDS)
def test_each_item_is_red_for_its_own_fault(clone: Clone, faults: tuple[Fault, ...]) -> None:
    red: dict[str, Red] = {}
    for fault in faults:
        red |= fault(clone)
    expect(clone.run(clone.second), red)


def test_a_folder_of_the_commit_that_is_not_there_is_red(clone: Clone) -> None:
    """Of a commit that lacks it, nobody can say either what a migration changes."""
    red = not_complete("app", cut=False)(clone)
    expect(clone.run(clone.second, "-k", "rollback_is_possible_now"), red)


def test_a_run_without_a_baseline_is_broken(clone: Clone) -> None:
    clone.variables["FOLDERS__BASELINES"] = str(clone.folder.with_name("none"))
    outcome = clone.run(clone.second, "-k", BASELINE)
    expect(outcome, {BASELINE: ("broken", "baseline")})


def test_a_restore_that_would_overwrite_what_is_another_s_is_foreseen(
    clone: Clone, operators: Operators
) -> None:
    """A restore replaces the whole server, and that has one more database since the backup."""
    with damage.database_of_another(operators) as name:
        give_up = time.monotonic() + WAIT_SECONDS
        while True:
            outcome = clone.run(clone.second, "-k", Part.FORESIGHT)
            # A store that is slow on a busy machine is not judged, which refuses nothing: it is asked again.
            if outcome.code or time.monotonic() > give_up:
                break
    words = ("what milvus holds beside the profile's lists: expected nothing, ", f"observed database {name}")
    expect(outcome, {FORESIGHT: ("failed", *words)})


@contextmanager
def other_configuration(containers: Containers, service: str, folder: Path) -> Iterator[None]:
    """The container of `service` was created anew, on the same image, with one more variable."""
    override = folder / "override.yaml"
    override.write_text(f"services: {{{service}: {{environment: {{SCRATCH: '1'}}}}}}\n")
    stack = containers.stack
    files = [f"--file={file}" for file in (*stack.files, override)]
    base = ["compose", f"--project-name={stack.project}", f"--env-file={stack.state.environment}", *files]
    with undone(lambda: containers.recreate(service)):
        docker(*base, "up", "--detach", "--wait", "--no-build", "--no-deps", "--force-recreate", service)
        yield


def test_containers_that_are_not_those_of_the_baseline_are_red(clone: Clone, tmp_path: Path) -> None:
    """One is of another image, and has another configuration; another one is a stranger."""
    containers = clone.containers
    known = {c.service: c for c in clone.verifier.baseline.facts.containers}["frontend"]
    with (
        container_faults.other_image(containers, "frontend", OTHER_COMMIT),
        other_configuration(containers, "frontend", tmp_path),
        container_faults.extra_container(containers, "stranger", {}, "true") as stranger,
    ):
        image = containers.of("frontend").image_id
        outcome = clone.run(clone.second, "-k", BASELINE)
    saved = f"{known.name} of image {known.image_id} at commit {known.revision} with configuration "
    lives = f"{known.name} of image {image} at commit {OTHER_COMMIT} with configuration "
    words = (f"those of the baseline: {saved}{known.configuration}, observed ", lives, stranger)
    expect(outcome, {BASELINE: ("failed", *words)})
    assert f"{lives}{known.configuration}" not in outcome.results()[BASELINE]["reason"]


def test_the_working_copy_of_the_stack_is_green_and_is_not_touched(
    verifier: Verifier, stack: Stack, tmp_path: Path
) -> None:
    repository = stack.state.application
    second = git(repository, "rev-parse", "release-2")
    file = tmp_path / "commit.txt"
    variable = {"ROLLPROOF_PREMIGRATION__STATE__COMMIT_FILE": str(file)}
    saved = verifier.actions("save-state", **variable)
    assert (saved.returncode, saved.stderr) == (0, "")
    assert saved.stdout == f"saved: {git(repository, 'rev-parse', 'HEAD')} in {file}\n"
    before = {path: path.stat().st_mtime_ns for path in repository.rglob("*") if path.is_file()}
    run = verifier.run(
        "step2",
        f"--migration={second}",
        PREMIGRATION__STATE__COMMIT_FILE=str(file),
    )
    expect(run, {})
    assert {path: path.stat().st_mtime_ns for path in repository.rglob("*") if path.is_file()} == before
    assert git(repository, "status", "--porcelain") == ""
    assert git(repository, "rev-parse", "HEAD") != second
    # The record of a migration is apart from incidents.
    assert {one.kind for one in incidents_of(verifier.folder / "incidents", "staging")} == {"incident"}


def test_a_state_that_is_saved_is_green(clone: Clone) -> None:
    """Last: no fault of this module is left. What protects a target refuses nothing here."""
    clone.variables["PROTECTED"] = "true"
    outcome = clone.run(clone.second)
    expect(outcome, {})
    assert len(outcome.results()) == 9
