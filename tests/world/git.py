"""Git in memory: what the product and the tests ask of git, answered from one file of a working copy.

It knows the commands that they use, and no other. `tests/stack/processes/test_git_in_memory.py` compares its
answers with git's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha1
from pathlib import Path

Tree = dict[str, str]
"""The content of each file, by its path in the repository."""


class Refused(Exception):
    """Git ends with an exit code other than 0; the text is the reason."""


@dataclass
class Commit:
    """A commit; `parents` are ids."""

    parents: list[str]
    message: str
    tree: Tree


@dataclass
class Repository:
    """A repository as it lies in `.git/memory.json` of its working copy, `folder`."""

    folder: Path
    head: str = ""
    stash: str = ""
    read: str = ""
    index: Tree = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)

    def save(self) -> None:
        """Write it to its file."""
        (self.folder / ".git").mkdir(exist_ok=True)
        (self.folder / ".git" / "memory.json").write_text(json.dumps({**asdict(self), "folder": ""}))

    def add(self, parents: list[str], message: str, tree: Tree) -> str:
        """Add a commit, and return its id."""
        text = json.dumps([parents, message, tree, len(self.commits)])
        made = sha1(text.encode(), usedforsecurity=False).hexdigest()
        self.commits[made] = Commit(parents, message, dict(tree))
        return made

    def resolve(self, name: str) -> str:
        """Return the id of the commit that `name` means: HEAD or the start of an id, perhaps with `~`."""
        base, parent, _ = name.removesuffix("^{commit}").partition("~")
        found = [one for one in self.commits if one.startswith(self.head if base == "HEAD" else base)]
        if len(found) != 1 or not base:
            raise Refused(f"fatal: Needed a single revision: {name}")
        return self.commits[found[0]].parents[0] if parent else found[0]

    def tree(self, name: str) -> Tree:
        """Return the files of a commit."""
        return self.commits[self.resolve(name)].tree

    def history(self, commit: str) -> Iterator[str]:
        """Yield `commit` and all commits in its history."""
        if commit not in self.commits:
            raise Refused(f"fatal: bad object {commit}")
        yield commit
        for parent in self.commits[commit].parents:
            yield from self.history(parent)

    def patch(self, commit: str) -> Mapping[str, tuple[str | None, str | None]]:
        """Return what a commit changes: the content of each file before and after."""
        parents = self.commits[commit].parents
        return _changes(self.tree(parents[0]) if parents else {}, self.tree(commit))

    def there(self) -> Tree:
        """Return the files of the working copy."""
        found = (path for path in sorted(self.folder.rglob("*")) if path.is_file())
        names = (str(path.relative_to(self.folder)) for path in found)
        return {name: self.content(name) or "" for name in names if not name.startswith(".git/")}

    def changed(self) -> list[str]:
        """Return the tracked files that the working copy has with other content, or not at all."""
        return [name for name, content in self.index.items() if self.content(name) != content]

    def content(self, name: str) -> str | None:
        """Return the content of a file of the working copy, or None if there is none."""
        path = self.folder / name
        return path.read_bytes().decode("latin-1") if path.is_file() else None

    def put(self, tree: Tree) -> None:
        """Make the working copy and the index equal to `tree`."""
        for name in self.index.keys() - tree.keys():
            (self.folder / name).unlink(missing_ok=True)
        _write(self.folder, tree)
        self.index = dict(tree)


def git(folder: Path, *words: str) -> str:
    """Run git in `folder`, as `tests.real_git.git` does."""
    return answer(["git", "-C", str(folder), *words]).strip()


def answer(command: Sequence[str]) -> str:
    """Return what git prints for `command`.

    Raises:
        Refused: git ends with an exit code other than 0.
    """
    _, _, place, *words = command
    while words[0] in {"-c", "--no-optional-locks"}:
        words = words[2:] if words[0] == "-c" else words[1:]
    name, *arguments = words
    folder = Path(place)
    if name == "init":
        Repository(folder).save()
        return ""
    try:
        state = json.loads((folder / ".git" / "memory.json").read_text())
    except OSError:
        raise Refused("fatal: not a git repository (or any of the parent directories): .git") from None
    commits = {one: Commit(**commit) for one, commit in state.pop("commits").items()}
    repository = Repository(**{**state, "commits": commits, "folder": folder})
    options = [word for word in arguments if word.startswith("-") and word != "--"]
    plain = [word for word in arguments if not word.startswith("-")]
    said = _COMMANDS[name](repository, options, plain)
    repository.save()
    return said


def _changes(before: Tree, after: Tree) -> dict[str, tuple[str | None, str | None]]:
    """Return the files in which two trees differ, with both contents."""
    names = sorted({*before, *after})
    return {one: (before.get(one), after.get(one)) for one in names if before.get(one) != after.get(one)}


def _write(folder: Path, tree: Tree) -> None:
    for name, content in tree.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode("latin-1"))


def _listed(names: Sequence[str]) -> str:
    """Return names as `-z` separates them."""
    return "".join(f"{name}\0" for name in names)


def _rev_parse(repository: Repository, options: list[str], words: list[str]) -> str:
    if "--show-cdup" in options:
        return ""
    if words[0].endswith("^{tree}"):
        return str(sorted(repository.tree(words[0].removesuffix("^{tree}")).items()))
    return repository.resolve(words[0])


def _rev_list(repository: Repository, options: list[str], words: list[str]) -> str:
    asked, without = words[0], set(repository.history(words[1].removeprefix("^")))
    if "--cherry-mark" not in options:
        return "\n".join(one for one in repository.history(asked) if one not in without)
    original, _, candidate = asked.partition("...")
    theirs = {*repository.history(candidate)}
    copies = [repository.patch(one) for one in theirs - {*repository.history(original)} - without]
    ours = [one for one in repository.history(original) if one not in theirs | without]
    return "\n".join(f"{'=' if repository.patch(one) in copies else '<'}{one}" for one in ours)


def _add(repository: Repository, _: list[str], words: list[str]) -> str:
    there = repository.there()
    repository.index = {name: there[name] for name in words} if words and words != ["."] else there
    return ""


def _commit(repository: Repository, options: list[str], words: list[str]) -> str:
    if "--all" in options:
        repository.index = {name: repository.content(name) or "" for name in repository.index}
    parents = [repository.head] if repository.head else []
    repository.head = repository.add(parents, words[-1], repository.index)
    return ""


def _checkout(repository: Repository, options: list[str], words: list[str]) -> str:
    if "--force" not in options and (changed := repository.changed()):
        raise Refused(f"error: Your local changes to {', '.join(changed)} would be overwritten by checkout")
    commit = repository.resolve(words[0])
    repository.put(repository.tree(commit))
    repository.head = commit
    return ""


def _cherry_pick(repository: Repository, _: list[str], words: list[str]) -> str:
    picked = repository.resolve(words[0])
    changed = {name: after or "" for name, (_, after) in repository.patch(picked).items()}
    repository.put({**repository.index, **changed})
    repository.head = repository.add([repository.head], repository.commits[picked].message, repository.index)
    return ""


def _diff(repository: Repository, _: list[str], words: list[str]) -> str:
    changed = _changes(*map(repository.tree, words))
    status = {(True, False): "D", (False, True): "A", (True, True): "M"}
    return _listed(
        [f"{status[old is not None, new is not None]}\0{name}" for name, (old, new) in changed.items()]
    )


def _diff_tree(repository: Repository, _: list[str], words: list[str]) -> str:
    before, after = map(repository.tree, words)
    return _listed(sorted(after.keys() - before.keys()))


def _status(repository: Repository, _: list[str], __: list[str]) -> str:
    changed = [f"1 .M N... 100644 100644 100644 {0:040} {0:040} {name}" for name in repository.changed()]
    return _listed([*changed, *(f"? {name}" for name in repository.there() if name not in repository.index)])


def _ls_files(repository: Repository, _: list[str], words: list[str]) -> str:
    """Return untracked files; a folder without anything tracked is one name, and so is an empty one."""
    found, places = dict[str, None](), [Path(word) for word in words] or [repository.folder]
    folders = [path for path in repository.folder.rglob("*") if path.is_dir() and ".git" not in path.parts]
    empty = {f"{path.relative_to(repository.folder)}/" for path in folders if not any(path.iterdir())}
    for name in empty | (repository.there().keys() - repository.index.keys()):
        for place in places:
            above = [f"{one}/" for one in reversed(Path(name).parents[:-1])]
            below = [one for one in (*above, name) if (repository.folder / one).is_relative_to(place)]
            whole = (one for one in below if not any(other.startswith(one) for other in repository.index))
            found |= dict.fromkeys([next(whole, name)] if below else [])
    return _listed(sorted(found))


def _read_tree(repository: Repository, _: list[str], words: list[str]) -> str:
    repository.read = repository.resolve(words[0])
    return ""


def _checkout_index(repository: Repository, options: list[str], _: list[str]) -> str:
    _write(Path(options[-1].removeprefix("--prefix=")), repository.tree(repository.read))
    return ""


def _cat_file(repository: Repository, _: list[str], words: list[str]) -> str:
    commit, name = words[-1].split(":./")
    return repository.tree(commit)[name]


def _stash(repository: Repository, _: list[str], __: list[str]) -> str:
    if changed := repository.changed():
        kept = {name: repository.content(name) or "" for name in changed}
        _write(repository.folder, {name: repository.index[name] for name in changed})
        repository.stash = repository.add([repository.head], "stash", kept)
    return ""


_COMMANDS: Mapping[str, Callable[[Repository, list[str], list[str]], str]] = {
    "add": _add,
    "cat-file": _cat_file,
    "checkout": _checkout,
    "checkout-index": _checkout_index,
    "cherry-pick": _cherry_pick,
    "commit": _commit,
    "diff": _diff,
    "diff-tree": _diff_tree,
    "for-each-ref": lambda repository, _, __: repository.stash,
    "log": lambda repository, _, words: repository.commits[repository.resolve(words[-1])].message,
    "ls-files": _ls_files,
    "read-tree": _read_tree,
    "rev-list": _rev_list,
    "rev-parse": _rev_parse,
    "stash": _stash,
    "status": _status,
}
