"""What is written down before a migration, the working copy, and a rollback that is tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollproof.git.repository import changed_names, content_at, read_saved_commit, read_working_copy
from tests.real_git import git
from tests.unit.command_line import Ran
from tests.world.sandbox import Sandbox

NAMED = "\n[premigration.state]\ncommit_file = 'saved/commit.txt'\n"


@pytest.fixture
def repository(sandbox: Sandbox) -> Path:
    """The working copy, on the commit that the baseline is of."""
    folder = sandbox.target.application.repository
    git(folder, "checkout", "--quiet", sandbox.commit)
    return folder


def test_the_commit_is_saved_where_the_profile_says(sandbox: Sandbox, run: Ran, repository: Path) -> None:
    sandbox.profile.write_text(sandbox.profile.read_text(encoding="utf-8") + NAMED, encoding="utf-8")
    said = run("save-state")
    file = sandbox.folder / "saved" / "commit.txt"
    assert said == f"saved: {sandbox.commit} in {file}\n"
    saved = read_saved_commit(file, repository)
    assert saved.text == f"{saved.head}\n" == f"{sandbox.commit}\n"
    assert [path.name for path in file.parent.iterdir()] == ["commit.txt"]


def test_a_clean_working_copy_has_no_differences(repository: Path) -> None:
    exclude = repository / ".git" / "info" / "exclude"
    exclude.parent.mkdir(exist_ok=True)
    exclude.write_text("ignored\n")
    (repository / "ignored").write_text("x")
    assert read_working_copy(repository).differences == ()


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
