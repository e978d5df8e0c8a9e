"""Commits: what names one, and how the working copy gets there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from fixtures.errors import UsageProblem
from fixtures.git import head
from rollback_actions.commit import check_out, resolve_commit


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "application"
    folder.mkdir()
    _git(folder, "init", "--quiet")
    for release in ("1", "2"):
        (folder / "release").write_text(release)
        _git(folder, "add", "release")
        _git(folder, "commit", "--quiet", "--message", f"release {release}")
    return folder


def test_a_short_hash_resolves(repository: Path) -> None:
    full = head(repository)
    assert resolve_commit(repository, full[:8]) == full
    assert resolve_commit(repository, full) == full


@pytest.mark.parametrize(
    "name",
    ["", "HEAD", "main", "abc", "--help", "$(reboot)", "1234567; reboot", "abcdef1\nabcdef2", "../../x"],
)
def test_what_is_no_hash_is_refused(repository: Path, name: str) -> None:
    with pytest.raises(UsageProblem, match="expected a hash of 7 to 64"):
        resolve_commit(repository, name)


def test_an_unknown_hash_is_refused(repository: Path) -> None:
    with pytest.raises(UsageProblem, match="observed none, or more than one"):
        resolve_commit(repository, "0" * 40)


def test_a_blob_is_no_commit(repository: Path) -> None:
    blob = _git(repository, "rev-parse", "HEAD:release")
    with pytest.raises(UsageProblem, match="expected one commit"):
        resolve_commit(repository, blob)


def test_check_out_keeps_what_was_not_committed(repository: Path, tmp_path: Path) -> None:
    first = _git(repository, "rev-parse", "HEAD~1")
    (repository / "release").write_text("2, mended at night")
    (repository / "notes").write_text("untracked")
    note = check_out(repository, first, tmp_path / "kept")
    assert head(repository) == first
    assert (repository / "release").read_text() == "1"
    assert (repository / "notes").read_text() == "untracked"
    assert "mended at night" in (tmp_path / "kept" / "working-copy.patch").read_text()
    assert "kept in" in note
    assert check_out(repository, first, tmp_path / "kept-2") == "working copy was clean"


def test_no_repository_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match=r"application\.repository"):
        head(tmp_path)
