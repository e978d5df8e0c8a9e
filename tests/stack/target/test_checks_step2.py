"""Step 2 on the real repository and engine: each fault of an item turns that item red.

A round is one run of the whole step with faults of several items: each fault turns its own item red, and no
other.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from rollproof.baseline.facts import Facts, RecordedContainer
from rollproof.incident.incident import incidents_of
from rollproof.incident.rehearsals import RollbackPart
from staging.stack.stack import Stack
from tests.real_git import git
from tests.run_outcome import Outcome
from tests.stack.container_faults import Containers
from tests.stack.scratch_project import docker
from tests.stack.verifier import Red, Verifier, expect

# What a rollback goes back to.
pytestmark = pytest.mark.usefixtures("backup")
OTHER_COMMIT = "0123456789abcdef0123456789abcdef01234567"
SAVED, CLEAN = "test_commit_is_saved", "test_working_copy_is_clean"
BASELINE = "test_baseline_is_of_this_state"


def possible(part: str) -> str:
    return f"test_rollback_is_possible_now[{part}]"


PLAN, IMAGES, COMPOSE_FILES, FORESIGHT, REFUSALS = map(possible, RollbackPart)
# Without a plan it cannot be told what would not work, nor what would refuse it.
OF_A_PLAN = (PLAN, FORESIGHT, REFUSALS)


@dataclass
class Clone:
    """A clone of the application's repository, on the commit that runs; the stack's own is left alone.

    Faults put what they need into `options` and `variables` of the run.
    """

    verifier: Verifier
    stack: Stack
    folder: Path
    containers: Containers
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


@pytest.fixture
def clone(verifier: Verifier, stack: Stack, containers: Containers, tmp_path: Path) -> Clone:
    """A clone whose commit is saved."""
    folder = tmp_path / "application"
    git(tmp_path, "clone", "--quiet", "--no-hardlinks", str(stack.state.application), str(folder))
    found = Clone(verifier, stack, folder, containers)
    found.commit_file.write_text(f"{found.head}\n")
    return found


def notes(outcome: Outcome, check: str) -> str:
    return " ".join(note["text"] for note in outcome.results()[check]["notes"])


# A fault of one item: it breaks something, and says which checks are red for it.
Fault = Callable[[Clone], dict[str, Red]]


def no_commit_file(clone: Clone) -> dict[str, Red]:
    clone.commit_file.unlink()
    return {SAVED: ("failed", f"expected {clone.head}", "observed no such file")}


def another_commit(clone: Clone) -> dict[str, Red]:
    clone.commit_file.write_text(f"{OTHER_COMMIT}\n")
    return {SAVED: ("failed", f"expected {clone.head}", f"observed {OTHER_COMMIT}")}


def not_clean(clone: Clone, said: str) -> dict[str, Red]:
    return {CLEAN: ("failed", f"as commit {clone.head[:12]} has it", said)}


def a_changed_file(clone: Clone) -> dict[str, Red]:
    (clone.folder / "README.md").write_text("changed")
    return not_clean(clone, "changed README.md")


def a_file_left(clone: Clone) -> dict[str, Red]:
    (clone.folder / "left over").write_text("x")
    return not_clean(clone, "untracked left over")


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


def an_image_that_is_gone(clone: Clone) -> dict[str, Red]:
    """The baseline is of an image that was there, and was removed since, and of another configuration."""
    scratch = docker("commit", clone.containers.of("frontend").id)
    docker("image", "rm", scratch)
    recorded(clone, image_id=scratch, configuration="0" * 64)
    return {
        BASELINE: ("failed", f"of image {scratch}", f"with configuration {'0' * 64}"),
        IMAGES: ("failed", f"look for the image of backend, {scratch}"),
    }


def no_backup(clone: Clone) -> dict[str, Red]:
    clone.variables["FOLDERS__BACKUPS"] = str(clone.folder.with_name("none"))
    why: Red = ("failed", "backup: expected a complete backup set of commit", "observed no complete set")
    return dict.fromkeys(OF_A_PLAN, why)


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


def an_object_that_was_cut(clone: Clone) -> dict[str, Red]:
    """A file of the commit, as the repository keeps it, was cut in half."""
    path = object_of(clone.folder, "README.md")
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])
    observed = f"of {clone.head[:12]} into a folder of its own"
    return {COMPOSE_FILES: ("failed", "compose files of a rollback: git ", observed)}


def compose_files_that_lack_services(clone: Clone) -> dict[str, Red]:
    clone.variables["ENGINE__FILES"] = json.dumps(clone.compose_files[:1])
    return {COMPOSE_FILES: ("failed", "observed none called backend, worker, frontend")}


def too_long(clone: Clone) -> dict[str, Red]:
    clone.variables["ROLLBACK_SECONDS"] = "1"
    return {REFUSALS: ("failed", "expected 1 s at most", "rollback_seconds of the profile")}


# The faults of one run.
ROUNDS: dict[str, tuple[Fault, ...]] = {
    "no commit file": (
        no_commit_file,
        a_changed_file,
        a_record_without_a_configuration,
        no_backup,
        an_object_that_was_cut,
    ),
    "another commit": (
        another_commit,
        a_file_left,
        an_image_that_is_gone,
        too_long,
        compose_files_that_lack_services,
    ),
}


@pytest.mark.parametrize("faults", ROUNDS.values(), ids=ROUNDS)
def test_each_item_is_red_for_its_own_fault(clone: Clone, faults: tuple[Fault, ...]) -> None:
    red: dict[str, Red] = {}
    for fault in faults:
        red |= fault(clone)
    expect(clone.run(clone.second), red)


def test_a_run_without_a_baseline_is_broken(clone: Clone) -> None:
    clone.variables["FOLDERS__BASELINES"] = str(clone.folder.with_name("none"))
    outcome = clone.run(clone.second, "-k", BASELINE)
    expect(outcome, {BASELINE: ("broken", "baseline")})


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
        # What protects a target refuses nothing here.
        PROTECTED="true",
    )
    expect(run, {})
    assert {path: path.stat().st_mtime_ns for path in repository.rglob("*") if path.is_file()} == before
    assert git(repository, "status", "--porcelain") == ""
    assert git(repository, "rev-parse", "HEAD") != second
    # The record of a migration is apart from incidents.
    assert {one.kind for one in incidents_of(verifier.folder / "incidents", "staging")} == {"incident"}
