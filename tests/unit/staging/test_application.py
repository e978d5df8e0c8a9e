"""The application under rehearsal: what it computes, and the repository that it is deployed from."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest
from app import canary
from app.identity import owner_of

from rollproof.errors import Problem
from staging.releases.release_repository import Releases, create_repository
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    destination = tmp_path_factory.mktemp("repository") / "application"
    create_repository(destination)
    return destination


def git(repository: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", repository, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def test_the_profile_asks_the_canary_what_it_knows() -> None:
    profile = tomllib.loads((ROOT / "targets" / "staging.toml").read_text(encoding="utf-8"))
    asked = profile["application"]["canary"]
    assert asked["user"] == canary.USERNAME == owner_of(canary.KNOWLEDGE_BASE)
    assert asked["knowledge_base"] == canary.KNOWLEDGE_BASE
    assert asked["question"] == canary.QUESTION
    assert asked["expected_file"] == canary.ANSWER_FILE
    assert [name for name, text in canary.FILES.items() if canary.ANSWER_WORDS in text] == [
        canary.ANSWER_FILE
    ]


def test_the_repository_has_the_same_commits_each_time(repository: Path, tmp_path: Path) -> None:
    again = create_repository(tmp_path / "again")
    assert again == create_repository(tmp_path / "again")
    assert again == Releases(
        git(repository, "rev-parse", "release-1"), git(repository, "rev-parse", "release-2")
    )


def test_the_work_tree_is_left_at_release_1(repository: Path) -> None:
    assert git(repository, "rev-parse", "HEAD") == git(repository, "rev-parse", "release-1")
    assert git(repository, "status", "--porcelain") == ""
    assert (repository / "app" / "__init__.py").read_text().strip().endswith('"1.0.0"')


def test_release_2_is_release_1_with_a_migration_that_its_code_knows_of(repository: Path) -> None:
    changed = git(repository, "diff", "--name-only", "release-1", "release-2").split()
    assert "app/migrations/consolidation.py" in changed
    assert "changes.patch" not in git(repository, "ls-tree", "-r", "--name-only", "release-2").split()
    assert "consolidation.upgrade" in git(repository, "show", "release-2:app/migrate.py")
    # What release 1's code and image are built from stays: its deployment takes a second.
    assert not {"requirements.lock", "Dockerfile", "app/corpus.py"}.intersection(changed)
    for path in ("app/accounts.py", "app/seed.py"):
        assert "hashed_password" not in git(repository, "show", f"release-2:{path}")


def test_files_of_another_origin_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(Problem, match="files of another origin"):
        create_repository(tmp_path)
    assert (tmp_path / "precious").read_text() == "mine"
