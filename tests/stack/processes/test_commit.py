"""Commits: what names one, how the working copy gets there, and which are there again under another id."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollback_actions.rollback.checkout import check_out
from rollproof.errors import ActionFailed, UsageProblem
from rollproof.git.repository import checked_out, copied, head, resolve_commit
from tests.real_git import git


def commit(repository: Path, name: str, text: str, parent: str = "") -> str:
    """Return a new commit that holds that file, upon `parent` where one is named."""
    if parent:
        git(repository, "checkout", "--quiet", "--detach", parent)
    (repository / name).parent.mkdir(exist_ok=True)
    (repository / name).write_text(text)
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", f"write {name}")
    return git(repository, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "application"
    folder.mkdir()
    git(folder, "init", "--quiet")
    for release in ("1", "2"):
        commit(folder, "release", release)
    return folder


@pytest.mark.parametrize(
    "name",
    ["", "nobranch", "--help", "$(reboot)", "a\0b", "0" * 40, "HEAD:release"],
)
def test_what_names_no_commit_is_refused(repository: Path, name: str) -> None:
    with pytest.raises(UsageProblem, match="expected one of the repository"):
        resolve_commit(repository, name)


def test_a_name_that_git_knows_is_a_commit(repository: Path) -> None:
    git(repository, "branch", "of-a-branch", "HEAD~1")
    git(repository, "tag", "--annotate", "--message", "first", "v1", "HEAD~1")
    first = git(repository, "rev-parse", "HEAD~1")
    for name in ("HEAD~1", "of-a-branch", "v1", first, first[:8]):
        assert resolve_commit(repository, name) == first


def test_a_repository_in_the_environment_is_left_alone(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, newest, other = git(repository, "rev-parse", "HEAD~1"), head(repository), tmp_path / "other"
    git(tmp_path, "clone", "--quiet", str(repository), str(other))
    with monkeypatch.context() as hook:
        hook.setenv("GIT_DIR", str(other / ".git"))
        hook.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
        assert check_out(repository, first) == "working copy was clean"
    assert (head(repository), head(other)) == (first, newest)
    assert (repository / "release").read_text() == "1"
    assert git(repository, "status", "--porcelain") == git(other, "status", "--porcelain") == ""


def _shown(repository: Path, name: str) -> str:
    """Return the content of an untracked file in the newest stash."""
    return git(repository, "show", f"stash@{{0}}^3:{name}")


@pytest.mark.parametrize("part", ["", "part"])
def test_what_was_not_committed_is_stashed(repository: Path, part: str) -> None:
    first = git(repository, "rev-parse", "HEAD~1")
    (repository / "part").mkdir()
    (repository / "release").write_text("2, mended at night")
    (repository / "notes").write_text("untracked")
    git(repository, "config", "diff.relative", "true")
    said = check_out(repository / part, first)
    assert head(repository) == first
    assert (repository / "release").read_text() == "1"
    assert (repository / "notes").read_text() == "untracked"
    assert said.startswith("changes kept: git -C ")
    show = said.removeprefix("changes kept: ").split()
    done = subprocess.run(show, check=True, capture_output=True, text=True, cwd=repository / part)
    assert "+2, mended at night" in done.stdout
    assert check_out(repository, first) == "working copy was clean"


@pytest.mark.parametrize(
    ("name", "of_commit"), [("held", "held"), ("data/only here", "data"), ("café [1]", "café [1]")]
)
@pytest.mark.parametrize("ignored", [False, True])
def test_an_untracked_file_in_the_way_of_the_commit_is_stashed(
    repository: Path, name: str, of_commit: str, *, ignored: bool
) -> None:
    holds = commit(repository, of_commit, "of the commit")
    git(repository, "checkout", "--quiet", "--detach", "HEAD~1")
    (repository / name).parent.mkdir(exist_ok=True)
    (repository / name).write_text("only here")
    (repository / "other").write_text("stays")
    if ignored:
        (repository / ".git" / "info" / "exclude").write_text("held\ndata/\ncaf*\nother\n")
    assert check_out(repository, holds).startswith("files in the way kept: git ")
    assert _shown(repository, name) == "only here"
    assert (repository / of_commit).read_text() == "of the commit"
    assert (repository / "other").read_text() == "stays"


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_a_change_that_git_was_told_not_to_see_is_not_lost(repository: Path, flag: str) -> None:
    first = git(repository, "rev-parse", "HEAD~1")
    git(repository, "update-index", flag, "release")
    (repository / "release").write_text("of this machine")
    with pytest.raises(ActionFailed, match="release"):
        check_out(repository, first)
    assert (repository / "release").read_text() == "of this machine"


def test_a_submodule_keeps_its_changes_whatever_git_is_told_of_it(repository: Path, tmp_path: Path) -> None:
    library, within = tmp_path / "library", repository / "library"
    git(tmp_path, "clone", "--quiet", str(repository), str(library))
    trusted = ("-c", "protocol.file.allow=always")
    git(repository, *trusted, "submodule", "--quiet", "add", str(library), "library")
    git(repository, "commit", "--quiet", "--message", "with a library")
    with_library = head(repository)
    git(within, "checkout", "--quiet", "HEAD~1")
    git(repository, "commit", "--quiet", "--all", "--message", "another one of it")
    (within / "release").write_text("mended in production")
    git(repository, "config", "submodule.recurse", "true")
    check_out(repository, with_library)
    assert head(repository) == with_library
    assert (within / "release").read_text() == "mended in production"


def test_no_hook_of_the_repository_runs(repository: Path, tmp_path: Path) -> None:
    first = git(repository, "rev-parse", "HEAD~1")
    for name in ("post-checkout", "post-index-change"):
        hook = repository / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\nexit 1\n")
        hook.chmod(0o755)
    check_out(repository, first)
    assert head(repository) == first
    assert not (tmp_path / "ran").exists()


def test_no_repository_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match=r"application\.repository"):
        head(tmp_path)


def test_a_commit_is_checked_out_into_a_folder_of_its_own(repository: Path) -> None:
    before = git(repository, "status", "--short")
    with checked_out(repository, git(repository, "rev-parse", "HEAD~1")) as tree:
        assert (tree / "release").read_text() == "1"
    assert not tree.exists()
    assert ((repository / "release").read_text(), git(repository, "status", "--short")) == ("2", before)


TEXT = "".join(f"line {number}\n" for number in range(40))


@dataclass
class History:
    """`before`, upon it the three commits of what was rolled back, and upon it `other` of another hand."""

    folder: Path
    before: str
    first: str
    second: str
    last: str
    other: str

    def pick(self, parent: str, picked: str) -> str:
        """Return the copy of a commit upon `parent`."""
        git(self.folder, "checkout", "--quiet", "--detach", parent)
        git(self.folder, "cherry-pick", picked)
        return git(self.folder, "rev-parse", "HEAD")

    def copy_in(self, candidate: str, original: str = "") -> str:
        return copied(self.folder, original or self.last, self.before, candidate)


@pytest.fixture
def history(tmp_path: Path) -> History:
    git(tmp_path, "init", "--quiet")
    commit(tmp_path, "other.py", TEXT)
    before = commit(tmp_path, "app.py", TEXT)
    edited = TEXT.replace("line 20\n", "line twenty\n")
    first = commit(tmp_path, "app.py", edited)
    second = commit(tmp_path, "new.py", "print()\n")
    last = commit(tmp_path, "app.py", edited.replace("line 39", "end"))
    other = commit(tmp_path, "other.py", TEXT.replace("line 5\n", "line five\n"), before)
    return History(tmp_path, before, first, second, last, other)


@pytest.mark.parametrize("which", ["first", "last"])
def test_each_commit_is_known_again_when_it_is_picked(history: History, which: str) -> None:
    original = getattr(history, which)
    picked = history.pick(history.other, original)
    assert picked not in {history.first, history.second, history.last}
    assert history.copy_in(picked) == original
    # Also when more came after it.
    assert history.copy_in(commit(history.folder, "README", "more")) == original


def test_the_commits_of_a_branch_are_known_again_though_a_merge_was_rolled_back(history: History) -> None:
    git(history.folder, "checkout", "--quiet", "--detach", history.other)
    git(history.folder, "merge", "--quiet", "--no-ff", "--message", "merge", history.last)
    merge = git(history.folder, "rev-parse", "HEAD")
    picked = history.pick(history.before, history.second)
    assert history.copy_in(picked, merge) == history.second


def test_a_folder_of_a_repository_will_do_and_no_setting_of_its_user_matters(history: History) -> None:
    settings = {
        "color.ui": "always",
        "diff.noprefix": "true",
        "diff.relative": "true",
        "log.showSignature": "true",
        "diff.external": "false",
        "diff.renames": "copies",
        "i18n.logOutputEncoding": "latin1",
    }
    for name, setting in settings.items():
        git(history.folder, "config", name, setting)
    picked = history.pick(history.other, history.second)
    part = history.folder / "part"
    part.mkdir()
    assert copied(part, history.last, history.before, picked) == history.second
