"""Git in memory answers the product as git does: both are told the same, and asked the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rollback_actions.rollback.checkout import check_out
from rollproof.git.repository import (
    changed_names,
    checked_out,
    contains,
    content_at,
    copied,
    head,
    read_working_copy,
    resolve_commit,
    top_of,
    unknown_to_git,
)
from tests import real_git
from tests.world import git as memory
from tests.world.programs import keep_programs_in_memory

Git = Callable[..., str]


def _made(folder: Path, git: Git) -> list[str]:
    """Make a repository: a release, another with a new file, the second one's copy upon a third."""
    folder.mkdir()
    git(folder, "init", "--quiet", "--template=")
    commits = []
    for name, text in (("a.sql", "1"), ("below/b.sql", "2"), ("a.sql", "3")):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", f"write {text}")
        commits.append(git(folder, "rev-parse", "HEAD"))
    git(folder, "checkout", "--quiet", "--detach", commits[0])
    (folder / "c.sql").write_text("4")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "write 4")
    commits.append(git(folder, "rev-parse", "HEAD"))
    git(folder, "cherry-pick", commits[1])
    return [*commits, git(folder, "rev-parse", "HEAD")]


def _asked(folder: Path, commits: list[str], git: Git) -> list[object]:
    """Ask all that the product asks; ids of commits are told by their number."""
    number = {commit: place for place, commit in enumerate(commits)}
    first, second, third, another, copy = commits
    answers: list[object] = [
        number[head(folder)],
        number[resolve_commit(folder, third[:12])],
        top_of(folder).resolve() == folder.resolve(),
        [[contains(folder, one, other) for one in commits] for other in commits],
        number.get(copied(folder, third, first, copy)),
        copied(folder, third, first, another),
        [*changed_names(folder, third, ("*.sql",), first)],
        content_at(folder, third, "a.sql"),
        git(folder, "log", "-1", "--format=%s", second),
        git(folder, "rev-parse", f"{third}^{{tree}}") == git(folder, "rev-parse", f"{copy}^{{tree}}"),
    ]
    (folder / "new" / "empty").mkdir(parents=True)
    (folder / "new" / "file").write_text("of nobody")
    (folder / "below" / "b.sql").write_text("edited")
    copy_of_it = read_working_copy(folder)
    answers += [copy_of_it.changed, copy_of_it.untracked, unknown_to_git(folder, folder / "new")]
    answers += [unknown_to_git(folder, folder / name) for name in ("new/empty", "below", "c.sql")]
    with checked_out(folder, third) as tree:
        answers.append({str(file.relative_to(tree)): file.read_text() for file in tree.rglob("*.sql")})
    (folder / "c.sql").unlink()
    kept = check_out(folder, third)
    answers += ["changes kept: " in kept, number[head(folder)], (folder / "below" / "b.sql").read_text()]
    answers += [(folder / "c.sql").exists(), (folder / "new" / "file").exists()]
    return answers


def test_both_answer_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_git = _asked(tmp_path / "real", _made(tmp_path / "real", real_git.git), real_git.git)
    keep_programs_in_memory(monkeypatch)
    assert _asked(tmp_path / "made", _made(tmp_path / "made", memory.git), memory.git) == of_git
