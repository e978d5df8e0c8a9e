"""Step 2 on the real repository and engine: each way in which an item is not so turns it red."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fixtures.clock import Moment
from fixtures.incident import RollbackRecord, find_incident, new_incident
from fixtures.recorded import Facts, RecordedContainer
from fixtures.verdict import Verdict
from rollback_actions.unfinished import Unfinished
from rollback_actions.wish import Kind, Wish
from staging.operators import undone
from staging.stack import Stack
from tests.pytester.conftest import Outcome
from tests.stack import container_faults as faults
from tests.stack.container_faults import Containers
from tests.stack.scratch_project import docker
from tests.stack.verifier import Verifier, expect

OTHER_COMMIT = "0123456789abcdef0123456789abcdef01234567"
SAVED, CLEAN = "test_commit_is_saved", "test_working_copy_is_clean"
BASELINE, UNDONE = "test_baseline_is_of_this_state", "test_migration_can_be_undone"
# The staging profile lets the migration of release 2 pass.
NO_WAIVERS = {"PREMIGRATION__WAIVERS": "[]"}
ADDS = "ALTER TABLE users ADD COLUMN locale VARCHAR(10) NOT NULL DEFAULT 'en';\n"
REVISION = """
import sqlalchemy as sa
from alembic import op

revision = "4f1c8a90d2b8"
down_revision = None


def upgrade():
    op.add_column("users", sa.Column("locale", sa.String(10)))


def downgrade():
    op.drop_column("users", "locale")
"""


def possible(part: str) -> str:
    return f"test_rollback_is_possible_now[{part}]"


def git(repository: Path, *arguments: str) -> str:
    """Run git, as somebody, in a clone of a test's own."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    command = ["git", "-C", str(repository), *identity, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass(frozen=True)
class Clone:
    """A clone of the application's repository, on the commit that runs; the stack's own is left alone."""

    verifier: Verifier
    stack: Stack
    folder: Path

    @property
    def head(self) -> str:
        return git(self.folder, "rev-parse", "HEAD")

    @property
    def compose_files(self) -> list[str]:
        return [str(self.stack.root / "staging" / "compose.yaml"), str(self.folder / "compose.yaml")]

    @property
    def commit_file(self) -> Path:
        return self.folder.with_name("commit.txt")

    def migration(self, name: str, text: str) -> str:
        """Commit a file on top of what runs; return the commit, which is not checked out."""
        before = self.head
        (self.folder / name).write_text(text, encoding="utf-8")
        git(self.folder, "add", name)
        git(self.folder, "commit", "--quiet", "--message", "Migrate")
        commit = self.head
        git(self.folder, "checkout", "--quiet", "--detach", before)
        return commit

    def run(self, migration: str, *options: str, incident: str = "", **variables: str) -> Outcome:
        """Run step 2 on this clone."""
        ours = {
            "APPLICATION__REPOSITORY": str(self.folder),
            "ENGINE__FILES": json.dumps(self.compose_files),
            "PREMIGRATION__STATE__COMMIT_FILE": str(self.commit_file),
            **NO_WAIVERS,
        }
        given = (f"--migration={migration}", *options)
        return self.verifier.run("step2", *given, incident=incident, **{**ours, **variables})


@pytest.fixture(scope="module", autouse=True)
def backup(verifier: Verifier) -> Path:
    """A backup and a baseline of the stack as it is: what a rollback goes back to."""
    return verifier.back_up()


@pytest.fixture
def clone(verifier: Verifier, stack: Stack, tmp_path: Path) -> Clone:
    """A clone whose commit is saved."""
    folder = tmp_path / "application"
    git(tmp_path, "clone", "--quiet", "--no-hardlinks", str(stack.state.application), str(folder))
    found = Clone(verifier, stack, folder)
    found.commit_file.write_text(f"{found.head}\n")
    return found


@pytest.fixture
def second(stack: Stack) -> str:
    """The commit of release 2: the migration that goes wrong."""
    return git(stack.state.application, "rev-parse", "release-2")


def notes(outcome: Outcome, check: str) -> str:
    return " ".join(outcome.results()[check]["notes"])


def test_a_state_that_is_saved_is_green_and_each_item_says_what_was_seen(clone: Clone) -> None:
    outcome = clone.run(clone.migration("second.sql", ADDS))
    expect(outcome, {})
    head = clone.head
    for check, words in {
        SAVED: f"{clone.commit_file} holds {head}",
        CLEAN: f"on {head[:12]}, without changes",
        BASELINE: "12 containers run as baseline",
        possible("plan"): f"emergency {head}: 4 services and 7 stores, from ",
        possible("images"): "images of 4 services are there, by id",
        possible("checkout"): f"files of {head[:12]} were checked out",
        possible("compose files"): "2 compose files",
        possible("refusals"): "nothing would refuse it; the lock is free",
        UNDONE: "1 files of the migration can be undone",
    }.items():
        assert words in notes(outcome, check), (check, notes(outcome, check))
    assert len(outcome.results()) == 9


def test_the_working_copy_of_the_stack_is_green_and_is_not_touched(
    verifier: Verifier, stack: Stack, tmp_path: Path, second: str
) -> None:
    repository = stack.state.application
    file = tmp_path / "commit.txt"
    variable = {"ROLLPROOF_PREMIGRATION__STATE__COMMIT_FILE": str(file)}
    saved = verifier.actions("save-state", **variable)
    assert (saved.returncode, saved.stderr) == (0, "")
    assert saved.stdout == f"saved: {git(repository, 'rev-parse', 'HEAD')} in {file}\n"
    before = {path: path.stat().st_mtime_ns for path in repository.rglob("*") if path.is_file()}
    run = verifier.run(
        "step2",
        f"--migration={second}",
        f"--deselect=checks/premigration/test_step2_saved_state.py::{UNDONE}",
        PREMIGRATION__STATE__COMMIT_FILE=str(file),
    )
    expect(run, {})
    assert {path: path.stat().st_mtime_ns for path in repository.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("content", "observed"),
    [
        (None, "observed no such file"),
        ("", "observed an empty file"),
        (f"{OTHER_COMMIT}\n", f"observed {OTHER_COMMIT}"),
        ("HEAD is now at", "observed 'HEAD is now at'"),
        ("{head}\n{head}\n", "observed 2 lines or more"),
    ],
    ids=["missing", "empty", "another commit", "garbage", "two lines"],
)
def test_a_commit_that_is_not_saved_is_red(
    clone: Clone, second: str, content: str | None, observed: str
) -> None:
    clone.commit_file.unlink()
    if content is not None:
        clone.commit_file.write_text(content.replace("{head}", clone.head))
    outcome = clone.run(second, "-k", SAVED)
    expect(outcome, {SAVED: ("failed", f"expected {clone.head}", observed)})


def test_a_commit_that_is_shortened_is_red(clone: Clone, second: str) -> None:
    clone.commit_file.write_text(clone.head[:12])
    expect(clone.run(second, "-k", SAVED), {SAVED: ("failed", f"observed {clone.head[:12]} (from")})


def change_a_file(folder: Path) -> str:
    (folder / "README.md").write_text("changed")
    return "changed README.md"


def leave_a_file(folder: Path) -> str:
    (folder / "left over").write_text("x")
    return "untracked left over"


def stage_a_removal(folder: Path) -> str:
    git(folder, "rm", "--quiet", "README.md")
    return "changed README.md"


def hide_a_change(folder: Path) -> str:
    git(folder, "update-index", "--assume-unchanged", "README.md")
    (folder / "README.md").write_text("changed")
    return "README.md, which git was told not to look at"


def begin_a_merge(folder: Path) -> str:
    before = git(folder, "rev-parse", "HEAD")
    (folder / "aside").write_text("x")
    git(folder, "add", "aside")
    git(folder, "commit", "--quiet", "--message", "aside")
    other = git(folder, "rev-parse", "HEAD")
    git(folder, "checkout", "--quiet", "--detach", before)
    git(folder, "merge", "--quiet", "--no-ff", "--no-commit", other)
    return "a merge under way"


@pytest.mark.parametrize(
    "spoil", [change_a_file, leave_a_file, stage_a_removal, hide_a_change, begin_a_merge]
)
def test_a_working_copy_that_is_not_clean_is_red(
    clone: Clone, second: str, spoil: Callable[[Path], str]
) -> None:
    said = spoil(clone.folder)
    expect(clone.run(second, "-k", CLEAN), {CLEAN: ("failed", f"as commit {clone.head[:12]} has it", said)})


def test_a_submodule_that_is_not_checked_out_is_red(clone: Clone, second: str) -> None:
    allowed = ("-c", "protocol.file.allow=always")
    source = str(clone.stack.state.application)
    git(clone.folder, *allowed, "submodule", "--quiet", "add", source, "library")
    git(clone.folder, "commit", "--quiet", "--message", "library")
    git(clone.folder, "submodule", "--quiet", "deinit", "--force", "library")
    expect(clone.run(second, "-k", CLEAN), {CLEAN: ("failed", "submodule library not checked out")})


def test_a_baseline_of_another_commit_is_red(clone: Clone, second: str) -> None:
    recorded = clone.head
    git(clone.folder, "checkout", "--quiet", "--detach", second)
    expect(
        clone.run(second, "-k", BASELINE),
        {BASELINE: ("failed", f"commit of the baseline: expected {second}, observed {recorded}")},
    )


def with_container(facts: Facts, service: str, /, **changed: object) -> Facts:
    """Return `facts` with another record of the container of `service`."""

    def record(container: RecordedContainer) -> RecordedContainer:
        return replace(container, **changed) if container.service == service else container  # type: ignore[arg-type]

    return replace(facts, containers=tuple(map(record, facts.containers)))


@pytest.mark.parametrize(
    ("changed", "verdict", "words"),
    [
        ({"image_id": ""}, "broken", "no image id"),
        ({"configuration": None}, "broken", "no configuration hash"),
        ({"revision": None}, "broken", "no commit"),
        ({"service": "other"}, "broken", "backend: no container"),
        ({"configuration": "0" * 64}, "failed", f"with configuration {'0' * 64}"),
        ({"image_id": f"sha256:{'0' * 64}"}, "failed", f"of image sha256:{'0' * 64}"),
        ({"revision": OTHER_COMMIT}, "failed", f"at commit {OTHER_COMMIT}"),
    ],
)
def test_a_baseline_that_lacks_something_or_says_something_else_is_red(
    clone: Clone, second: str, changed: dict[str, object], verdict: str, words: str
) -> None:
    baseline = clone.verifier.restated(lambda facts: with_container(facts, "backend", **changed))
    outcome = clone.run(second, "-k", BASELINE, f"--baseline={baseline}")
    expect(outcome, {BASELINE: (verdict, words)})


def test_a_run_without_a_baseline_is_broken(clone: Clone, second: str) -> None:
    outcome = clone.run(second, "-k", BASELINE, f"--baseline={clone.folder}/none")
    expect(outcome, {BASELINE: ("broken", "baseline")})


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


def test_containers_that_are_not_those_of_the_baseline_are_red(
    clone: Clone, second: str, containers: Containers, tmp_path: Path
) -> None:
    recorded = {c.service: c for c in clone.verifier.baseline.facts.containers}["frontend"]
    same_image = f"rollproof-staging-frontend-1 of image {recorded.image_id} at commit {clone.head}"
    with other_configuration(containers, "frontend", tmp_path):
        outcome = clone.run(second, "-k", BASELINE)
    saved = f"those of the baseline: {same_image} with configuration {recorded.configuration}, observed "
    expect(outcome, {BASELINE: ("failed", f"{saved}{same_image} with configuration ")})
    with faults.other_image(containers, "frontend", OTHER_COMMIT):
        outcome = clone.run(second, "-k", BASELINE)
    expect(outcome, {BASELINE: ("failed", f"{saved}rollproof-staging-frontend-1 of image ", OTHER_COMMIT)})
    with faults.extra_container(containers, "stranger", {}, "true") as stranger:
        outcome = clone.run(second, "-k", BASELINE)
    expect(outcome, {BASELINE: ("failed", "those of the baseline: no other, observed ", stranger)})
    expect(clone.run(second, "-k", BASELINE), {})


def test_a_backup_that_is_gone_or_cut_is_red(clone: Clone, second: str, backup: Path, tmp_path: Path) -> None:
    chosen = ("-k", "rollback_is_possible_now")
    none = clone.run(second, *chosen, FOLDERS__BACKUPS=str(tmp_path / "none"))
    reason = ("failed", "backup: expected a complete backup set of commit", "observed no complete set")
    # Without a plan it cannot be told what would refuse it.
    expect(none, {possible("plan"): reason, possible("refusals"): reason})
    kept = next(
        path for path in (backup / "mysql").rglob("*") if path.is_file() and path.stat().st_size > 999
    )
    content = kept.read_bytes()
    with undone(lambda: kept.write_bytes(content)):
        kept.write_bytes(content[:-10])
        cut = clone.run(second, *chosen)
    expect(cut, dict.fromkeys([possible("plan"), possible("refusals")], ("failed", kept.name)))
    expect(clone.run(second, *chosen), {})


def test_an_image_that_is_gone_is_red(clone: Clone, second: str, containers: Containers) -> None:
    scratch = docker("commit", containers.of("frontend").id)
    with undone(lambda: docker("image", "rm", "--force", scratch) if scratch in images() else None):
        baseline = clone.verifier.restated(lambda facts: with_container(facts, "frontend", image_id=scratch))
        chosen = ("-k", "rollback_is_possible_now", f"--baseline={baseline}")
        expect(clone.run(second, *chosen), {})
        docker("image", "rm", scratch)
        outcome = clone.run(second, *chosen)
    expect(outcome, {possible("images"): ("failed", f"look for the image of frontend, {scratch}")})


def images() -> str:
    return docker("image", "ls", "--all", "--quiet", "--no-trunc")


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


@pytest.mark.parametrize("name", ["README.md", "app"], ids=["blob", "tree"])
@pytest.mark.parametrize("cut", [False, True], ids=["gone", "cut"])
def test_a_commit_that_is_not_complete_is_red(clone: Clone, second: str, name: str, *, cut: bool) -> None:
    path = object_of(clone.folder, name)
    content = path.read_bytes()
    path.unlink()
    if cut:
        path.write_bytes(content[: len(content) // 2])
    outcome = clone.run(second, "-k", "rollback_is_possible_now")
    expect(outcome, {possible("checkout"): ("failed", f"of {clone.head[:12]} into a folder of its own")})


def test_a_shallow_clone_is_red(clone: Clone, second: str) -> None:
    (clone.folder / ".git" / "shallow").write_text(f"{clone.head}\n")
    outcome = clone.run(second, "-k", "rollback_is_possible_now")
    expect(outcome, {possible("checkout"): ("failed", "observed a shallow clone")})


def test_compose_files_that_cannot_be_read_or_lack_a_service_are_red(
    clone: Clone, second: str, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("services: {frontend: {ports: 3}}\n")
    chosen = ("-k", "rollback_is_possible_now")
    outcome = clone.run(second, *chosen, ENGINE__FILES=json.dumps([*clone.compose_files, str(broken)]))
    expect(outcome, {possible("compose files"): ("failed", "reading of compose files", "ports")})
    outcome = clone.run(second, *chosen, ENGINE__FILES=json.dumps(clone.compose_files[:1]))
    expect(outcome, {possible("compose files"): ("failed", "observed none called backend, worker, frontend")})


def test_what_would_refuse_a_rollback_is_red(clone: Clone, second: str) -> None:
    incidents, refusals = clone.verifier.folder / "incidents", possible("refusals")
    chosen = ("-k", "rollback_is_possible_now")
    over = clone.run(second, *chosen, ROLLBACK_SECONDS="1")
    expect(over, {refusals: ("failed", "expected 1 s at most", "rollback_seconds of the profile")})
    unfinished = Unfinished.begin(
        new_incident(incidents, "staging"), Wish(Kind.DATABASE, clone.head, ("redis",))
    )
    with undone(unfinished.end):
        outcome = clone.run(second, *chosen)
    expect(outcome, {refusals: ("failed", f"observed one in incident {unfinished.incident.id}")})
    now = Moment.now()
    done = new_incident(incidents, "staging")
    with undone((done.folder / "rollback.json").unlink):
        done.write_rollback(RollbackRecord(clone.head, Verdict.PASSED, 1.0, now, now))
        outcome = clone.run(second, *chosen, HOLD_SECONDS="1800")
    expect(outcome, {refusals: ("failed", "hold_seconds of the profile", done.id)})
    expect(clone.run(second, *chosen, PROTECTED="true"), {})


HOLDS_AND_ENDS = """
import os, pathlib, sys
from fixtures.target import load_target
from rollback_actions.lock import open_lock
open_lock(load_target(pathlib.Path(sys.argv[1])), "a command that is killed").__enter__()
os._exit(0)
"""


def test_a_lock_of_one_who_was_killed_is_red(clone: Clone, second: str) -> None:
    verifier = clone.verifier
    profile = str(verifier.root / "targets" / "staging.toml")
    subprocess.run(
        [sys.executable, "-c", HOLDS_AND_ENDS, profile],
        cwd=verifier.root,
        check=True,
        timeout=60,
        env=os.environ,
    )
    with undone(lambda: verifier.actions("capture", "--take-over")):
        outcome = clone.run(second, "-k", "rollback_is_possible_now")
    expect(
        outcome, {possible("refusals"): ("failed", "expected free, or held by", "a command that is killed")}
    )
    expect(clone.run(second, "-k", "rollback_is_possible_now"), {})


def test_the_migration_that_goes_wrong_cannot_be_undone(verifier: Verifier, second: str) -> None:
    outcome = verifier.run("step2", f"--migration={second}", "-k", UNDONE, **NO_WAIVERS)
    words = (
        "app/migrations/consolidation.py:52: RENAME of column users.hashed_password to password_digest",
        "from varchar(100) to varchar(50)",
        "app/migrations/consolidation.py:56: DELETE of older without a condition",
        "app/migrations/consolidation.py:1: Python code: cannot be judged",
    )
    expect(outcome, {UNDONE: ("failed", "expected statements that can be undone", *words)})


@pytest.mark.parametrize(
    ("name", "text", "verdict", "words"),
    [
        (
            "second.sql",
            "ALTER TABLE users MODIFY email VARCHAR(99) NOT NULL",
            "failed",
            "varchar(100) to varchar(99)",
        ),
        ("second.sql", "ALTER TABLE users DROP INDEX ix_users_email", "failed", "it is unique"),
        ("second.sql", "TRUNCATE imagedb.documents", "failed", "TRUNCATE of imagedb.documents"),
        ("second.sql", "ALTER TABLE ghosts MODIFY a INT", "broken", "what the column was before is not"),
        ("second.sql", "CALL consolidate()", "broken", "CALL consolidate()"),
        ("app/migrations/b.py", REVISION.replace("upgrade", "up"), "broken", "no function upgrade"),
        ("app/migrations/b.py", REVISION.replace("def down", "def no_down"), "failed", "no way down"),
        ("app/migrations/b.py", REVISION.replace("= None", "= 'a'"), "failed", "there is no such revision"),
        ("app/migrations/b.py", "import app.jobs\n", "broken", "it is no alembic revision"),
    ],
)
def test_other_migrations_that_cannot_be_undone_or_judged_are_red(
    clone: Clone, name: str, text: str, verdict: str, words: str
) -> None:
    outcome = clone.run(clone.migration(name, text), "-k", UNDONE)
    expect(outcome, {UNDONE: (verdict, f"{name}:" if "revision " not in text else name, words)})


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("second.sql", ADDS, "1 files of the migration can be undone"),
        ("second.sql", "ALTER TABLE users MODIFY email VARCHAR(101) NOT NULL", "can be undone"),
        ("second.sql", "DELETE FROM users WHERE id = 0", "noted: second.sql:1: DELETE of users with"),
        ("app/migrations/b.py", REVISION, "1 files of the migration can be undone"),
        ("README.md", "other words", "no file of the migration matches app/migrations/*.py, *.sql"),
    ],
)
def test_migrations_that_can_be_undone_are_green(clone: Clone, name: str, text: str, words: str) -> None:
    outcome = clone.run(clone.migration(name, text), "-k", UNDONE)
    expect(outcome, {})
    assert words in notes(outcome, UNDONE)


def test_nothing_is_left_behind(verifier: Verifier, stack: Stack, second: str) -> None:
    """The stack's repository is as it was, and the record of a migration is apart from incidents."""
    assert git(stack.state.application, "status", "--porcelain") == ""
    assert git(stack.state.application, "rev-parse", "HEAD") != second
    assert find_incident(verifier.folder / "incidents", "staging", None).kind == "incident"
