"""Commits that are there again under another id, in real repositories: which are known again, which not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollproof.git.copied_commits import copied
from tests.real_git import git

TEXT = "".join(f"line {number}\n" for number in range(40))


@dataclass
class Repository:
    """A repository whose commits are made one upon the other, wherever it stands."""

    folder: Path
    made: int = 0

    def git(self, *arguments: str) -> str:
        return git(self.folder, *arguments)

    def commit(self, files: Mapping[str, str | bytes], parent: str = "", message: str = "") -> str:
        """Return a new commit that has `files`, upon `parent` where one is named; its subject is its own."""
        self.made += 1
        if parent:
            self.git("checkout", "--quiet", "--detach", parent)
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message or f"change {self.made}")
        return self.git("rev-parse", "HEAD")

    def pick(self, parent: str, *commits: str) -> str:
        self.git("checkout", "--quiet", "--detach", parent)
        self.git("cherry-pick", "--allow-empty", *commits)
        return self.git("rev-parse", "HEAD")


@dataclass
class History:
    """`before`, upon it the three commits of what was rolled back, and upon it `beside` of another hand."""

    repository: Repository
    before: str
    first: str
    second: str
    last: str
    beside: str

    def copy_in(self, candidate: str, original: str = "") -> str:
        return copied(self.repository.folder, original or self.last, self.before, candidate)


@pytest.fixture
def history(tmp_path: Path) -> History:
    git(tmp_path, "init", "--quiet")
    made = Repository(tmp_path)
    before = made.commit({"app.py": TEXT, "other.py": TEXT, "README": "x"})
    first = made.commit({"app.py": TEXT.replace("line 20\n", "line twenty\n")})
    second = made.commit({"new.py": "print()\n"})
    last = made.commit({"app.py": TEXT.replace("line 20\n", "line twenty\n").replace("line 39", "end")})
    beside = made.commit({"other.py": TEXT.replace("line 5\n", "line five\n")}, before)
    return History(made, before, first, second, last, beside)


@pytest.mark.parametrize("which", ["first", "last"])
def test_each_commit_is_known_again_when_it_is_picked(history: History, which: str) -> None:
    original = getattr(history, which)
    picked = history.repository.pick(history.beside, original)
    assert picked not in {history.first, history.second, history.last}
    assert history.copy_in(picked) == original
    # Also when more came after it.
    later = history.repository.commit({"README": "more"})
    assert history.copy_in(later) == original


def test_the_commits_of_a_branch_are_known_again_though_a_merge_was_rolled_back(history: History) -> None:
    made = history.repository
    made.git("checkout", "--quiet", "--detach", history.beside)
    made.git("merge", "--quiet", "--no-ff", "--message", "merge", history.last)
    merge = made.git("rev-parse", "HEAD")
    picked = made.pick(history.before, history.second)
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
        history.repository.git("config", name, setting)
    picked = history.repository.pick(history.beside, history.second)
    (history.repository.folder / "part").mkdir()
    found = copied(history.repository.folder / "part", history.last, history.before, picked)
    assert found == history.second
