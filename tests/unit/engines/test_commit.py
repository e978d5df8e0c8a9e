"""Commits: what names one, and how the working copy gets there."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from pathlib import Path

import pytest

from rollback_actions.rollback.checkout import check_out
from rollproof.errors import ActionFailed, Unverifiable, UsageProblem
from rollproof.git.repository import checked_out, head, resolve_commit
from rollproof.system import command


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
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
    ["", "nobranch", "--help", "$(reboot)", "a\0b", "0" * 40, "HEAD:release"],
)
def test_what_names_no_commit_is_refused(repository: Path, name: str) -> None:
    with pytest.raises(UsageProblem, match="expected one of the repository"):
        resolve_commit(repository, name)


@pytest.mark.parametrize("name", ["HEAD~1", "of-a-branch", "v1"])
def test_a_name_that_git_knows_is_a_commit(repository: Path, name: str) -> None:
    _git(repository, "branch", "of-a-branch", "HEAD~1")
    _git(repository, "tag", "--annotate", "--message", "first", "v1", "HEAD~1")
    assert resolve_commit(repository, name) == _git(repository, "rev-parse", f"{name}^{{commit}}")


def test_a_repository_in_the_environment_is_left_alone(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, newest, other = _git(repository, "rev-parse", "HEAD~1"), head(repository), tmp_path / "other"
    _git(tmp_path, "clone", "--quiet", str(repository), str(other))
    with monkeypatch.context() as hook:
        hook.setenv("GIT_DIR", str(other / ".git"))
        hook.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
        assert check_out(repository, first, tmp_path / "kept") == "working copy was clean"
    assert (head(repository), head(other)) == (first, newest)
    assert (repository / "release").read_text() == "1"
    assert _git(repository, "status", "--porcelain") == _git(other, "status", "--porcelain") == ""


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_changes_that_git_was_told_not_to_see_are_kept(repository: Path, tmp_path: Path, flag: str) -> None:
    first, kept = _git(repository, "rev-parse", "HEAD~1"), tmp_path / "kept"
    _git(repository, "update-index", flag, "release")
    (repository / "release").write_text("of this machine")
    said = check_out(repository, first, kept)
    assert said.startswith("changes of 1 files that git was told not to see")
    assert (repository / "release").read_text() == "1"
    assert "+of this machine" in (kept / "working-copy-1.patch").read_text()


def test_check_out_keeps_what_was_not_committed(repository: Path, tmp_path: Path) -> None:
    first = _git(repository, "rev-parse", "HEAD~1")
    (repository / "release").write_text("2, mended at night")
    (repository / "notes").write_text("untracked")
    note = check_out(repository, first, tmp_path / "kept")
    assert head(repository) == first
    assert (repository / "release").read_text() == "1"
    assert (repository / "notes").read_text() == "untracked"
    assert "mended at night" in (tmp_path / "kept" / "working-copy-1.patch").read_text()
    assert "kept in" in note
    assert check_out(repository, first, tmp_path / "kept-2") == "working copy was clean"


def test_a_second_run_keeps_what_the_first_has_kept(repository: Path, tmp_path: Path) -> None:
    first = _git(repository, "rev-parse", "HEAD~1")
    for text in ("mended at night", "mended again"):
        (repository / "release").write_text(text)
        check_out(repository, first, tmp_path / "kept")
        check_out(repository, first, tmp_path / "kept")
    kept = [path.read_text() for path in sorted((tmp_path / "kept").glob("*.patch"))]
    assert ["mended at night" in text for text in kept] == [True, False]
    assert "mended again" in kept[1]


def test_an_untracked_file_that_the_commit_holds_is_kept(repository: Path, tmp_path: Path) -> None:
    first = _git(repository, "rev-parse", "HEAD~1")
    _git(repository, "rm", "--quiet", "--cached", "release")
    _git(repository, "commit", "--quiet", "--message", "release 3 forgets a file")
    (repository / "release").write_text("only here")
    assert "1 untracked files" in check_out(repository, first, tmp_path / "kept")
    assert (tmp_path / "kept" / "untracked-1" / "release").read_text() == "only here"


def _commit_that_holds(repository: Path, name: str) -> str:
    """Return a commit that holds the file `name`, which the working copy has not."""
    (repository / name).parent.mkdir(exist_ok=True)
    (repository / name).write_text("of the commit")
    _git(repository, "add", "--all")
    _git(repository, "commit", "--quiet", "--message", "release 3")
    commit = head(repository)
    _git(repository, "checkout", "--quiet", "--detach", "HEAD~1")
    return commit


@pytest.mark.parametrize(
    ("held", "untracked"),
    [("data", "data/only here"), ("data", "data/deep/only here"), ("data/file", "data")],
)
def test_what_is_untracked_where_the_commit_has_another_kind_is_kept(
    repository: Path, tmp_path: Path, held: str, untracked: str
) -> None:
    commit = _commit_that_holds(repository, held)
    (repository / untracked).parent.mkdir(parents=True, exist_ok=True)
    (repository / untracked).write_text("only here")
    assert "1 untracked files" in check_out(repository, commit, tmp_path / "kept")
    assert (tmp_path / "kept" / "untracked-1" / untracked).read_text() == "only here"
    assert (repository / held).read_text() == "of the commit"


def test_a_repository_within_is_kept_whole(repository: Path, tmp_path: Path) -> None:
    commit = _commit_that_holds(repository, "data")
    within = repository / "data" / "within"
    within.mkdir(parents=True)
    _git(within, "init", "--quiet")
    (within / "only here").write_text("only here")
    check_out(repository, commit, tmp_path / "kept")
    kept = tmp_path / "kept" / "untracked-1" / "data" / "within"
    assert (kept / "only here").read_text() == "only here"
    assert (kept / ".git").is_dir()


@pytest.mark.parametrize("name", [b"caf\xe9", b"line\nbreak"])
def test_a_name_of_whatever_bytes_is_kept(repository: Path, tmp_path: Path, name: bytes) -> None:
    commit = _commit_that_holds(repository, os.fsdecode(name))
    (repository / os.fsdecode(name)).write_text("only here")
    check_out(repository, commit, tmp_path / "kept")
    assert (tmp_path / "kept" / "untracked-1" / os.fsdecode(name)).read_text() == "only here"


def test_untracked_names_beyond_any_number_are_looked_through(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = _commit_that_holds(repository, "held")
    for number in range(50):
        (repository / f"untracked-{number}").touch()
    (repository / "held").write_text("only here")
    monkeypatch.setattr(command, "MAXIMUM_OUTPUT_BYTES", 100)
    assert "1 untracked files" in check_out(repository, commit, tmp_path / "kept")
    assert len(list(repository.glob("untracked-*"))) == 50


def test_a_part_of_a_working_copy_keeps_what_is_beside_it(repository: Path, tmp_path: Path) -> None:
    commit = _commit_that_holds(repository, "held")
    (repository / "part").mkdir()
    (repository / "held").write_text("only here")
    check_out(repository / "part", commit, tmp_path / "kept")
    assert (tmp_path / "kept" / "untracked-1" / "held").read_text() == "only here"


def test_changes_beside_the_part_are_kept_whatever_git_is_told_to_show(
    repository: Path, tmp_path: Path
) -> None:
    first = _git(repository, "rev-parse", "HEAD~1")
    (repository / "part").mkdir()
    (repository / "release").write_text("mended in production")
    _git(repository, "config", "diff.relative", "true")
    said = check_out(repository / "part", first, tmp_path / "kept")
    assert said == f"uncommitted changes kept in {tmp_path / 'kept' / 'working-copy-1.patch'}"
    assert b"mended in production" in (tmp_path / "kept" / "working-copy-1.patch").read_bytes()


def test_a_submodule_keeps_its_changes_whatever_git_is_told_of_it(repository: Path, tmp_path: Path) -> None:
    library, within = tmp_path / "library", repository / "library"
    _git(tmp_path, "clone", "--quiet", str(repository), str(library))
    trusted = ("-c", "protocol.file.allow=always")
    _git(repository, *trusted, "submodule", "--quiet", "add", str(library), "library")
    _git(repository, "commit", "--quiet", "--message", "with a library")
    commit = head(repository)
    _git(within, "checkout", "--quiet", "HEAD~1")
    _git(repository, "commit", "--quiet", "--all", "--message", "another one of it")
    (within / "release").write_text("mended in production")
    _git(repository, "config", "submodule.recurse", "true")
    check_out(repository, commit, tmp_path / "kept")
    assert head(repository) == commit
    assert (within / "release").read_text() == "mended in production"


def test_no_hook_of_the_repository_runs(repository: Path, tmp_path: Path) -> None:
    first = _git(repository, "rev-parse", "HEAD~1")
    for name in ("post-checkout", "post-index-change"):
        hook = repository / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\nexit 1\n")
        hook.chmod(0o755)
    check_out(repository, first, tmp_path / "kept")
    assert head(repository) == first
    assert not (tmp_path / "ran").exists()


def test_no_repository_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match=r"application\.repository"):
        head(tmp_path)


def test_a_commit_is_checked_out_into_a_folder_of_its_own(repository: Path) -> None:
    before = _git(repository, "status", "--short")
    with checked_out(repository, _git(repository, "rev-parse", "HEAD~1")) as tree:
        assert (tree / "release").read_text() == "1"
    assert not tree.exists()
    assert ((repository / "release").read_text(), _git(repository, "status", "--short")) == ("2", before)


def test_a_check_out_that_takes_too_long_is_ended(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = head(repository)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "git").write_text("#!/bin/sh\nexec sleep 60\n")
    (programs / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    with pytest.raises(Unverifiable, match=r"within 0\.5 s"):
        check_out(repository, first, tmp_path / "kept", seconds=0.5)


def test_an_index_that_another_git_has_locked_is_waited_for_and_then_named(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = repository / ".git" / "index.lock"
    lock.touch()
    monkeypatch.setattr("rollback_actions.rollback.checkout._UNLOCKED_SECONDS", 0.3)
    with pytest.raises(ActionFailed, match=rf"rm {re.escape(str(lock))}"):
        check_out(repository, head(repository), tmp_path / "kept")
    monkeypatch.undo()
    threading.Timer(0.3, lock.unlink).start()
    assert check_out(repository, head(repository), tmp_path / "kept") == "working copy was clean"
