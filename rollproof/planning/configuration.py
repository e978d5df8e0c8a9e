"""One service's configuration as a commit has it: its compose files, and the files that these refer to.

Compose looks for those files in the working copy. It reads a service's environment files when it creates the
container, so the commit's versions can be put in their place. Mounted files stay where they are, and so do
files that compose reads because another file names them. Both must be as the commit has them.

A compose file is read here without compose: compose resolves everything, and no longer says from which file.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values

from rollproof.errors import UsageProblem, listed
from rollproof.git.repository import files_at, git
from rollproof.home import typed
from rollproof.profile.profile import Target
from rollproof.reading import read_regular

_MERGED = "<<"
_VARIABLE = re.compile(
    r"\$\$|\$(?P<bare>[A-Za-z_]\w*)"
    r"|\$\{(?P<name>[A-Za-z_]\w*)(?:(?P<sign>:?[-+?])(?P<other>(?:[^{}]|\{[^{}]*\})*))?\}",
    re.ASCII,
)
_SHOWN = 5
_LINK = "120000"  # a symbolic link's mode in a commit
_MOST_LINKS = 40  # as many as the system follows


def read_document(file: Path, source: str) -> yaml.Node:
    """Return the document in `file`, which is known as `source`; compose's own tags stay as they are.

    Raises:
        UsageProblem: it is not a YAML document. `OSError`: it cannot be read.
    """
    try:
        root = yaml.compose(read_regular(file).decode(), Loader=yaml.SafeLoader)
        if root is not None:
            said_by(root)  # a document that contains itself has no end
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageProblem(
            what="compose file",
            expected="a document of YAML",
            observed=type(error).__name__,
            source=source,
            hint=f"correct it and commit that, or take another commit: {typed('rollback full COMMIT')}",
        ) from None
    return yaml.MappingNode("tag:yaml.org,2002:map", []) if root is None else root


def said_by(node: yaml.Node) -> Any:  # noqa: ANN401 - whatever the document says
    """Return the content of `node`: mappings, with the mappings merged into them, lists, and text."""
    if isinstance(node, yaml.SequenceNode):
        return [said_by(one) for one in node.value]
    if not isinstance(node, yaml.MappingNode):
        return str(node.value)
    found: dict[str, Any] = {}
    for key, value in node.value:
        if key.value == _MERGED:
            several = value.value if isinstance(value, yaml.SequenceNode) else [value]
            # Of several merged mappings the first wins, and the mapping's own keys win over all.
            for one in several:
                found = {**mapping(said_by(one)), **found}
    return found | {str(key.value): said_by(value) for key, value in node.value if key.value != _MERGED}


def with_environment(root: yaml.Node, instead: Mapping[str, Path]) -> str:
    """Return the text of the document `root`, after replacing its environment files by those of `instead`.

    `root` itself is changed.
    """
    for node in _environment_files(root):
        if node.value in instead:
            node.value = str(instead[node.value])
    return str(yaml.serialize(root, Dumper=yaml.SafeDumper, allow_unicode=True))


def _environment_files(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """Yield the names of environment files; `environment` is skipped, since its keys are variables."""
    if isinstance(node, yaml.SequenceNode):
        for one in node.value:
            yield from _environment_files(one)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "env_file":
                yield from _scalars(value)
            elif key.value != "environment":
                yield from _environment_files(value)


def _scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.SequenceNode):
        for one in node.value:
            yield from _scalars(one)
    else:
        for key, value in node.value:
            if key.value == "path":
                yield value


def interpolated(text: str, variables: Mapping[str, str | None]) -> str:
    """Return `text` with the values of `variables` inserted, as compose inserts them."""

    def value(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        known = variables.get(found["bare"] or found["name"])
        sign, other = found["sign"] or "", interpolated(found["other"] or "", variables)
        there = bool(known) if sign.startswith(":") else known is not None
        if sign.endswith("+"):
            return other if there else ""
        return (known or "") if there or not sign.endswith("-") else other

    return _VARIABLE.sub(value, text)


def mapping(said: object) -> Mapping[str, Any]:
    """Return `said` if it is a mapping, else an empty mapping."""
    return said if isinstance(said, dict) else {}


def entries(said: object) -> list[Any]:
    """Return the entries that a document gives singly, or in a list."""
    if isinstance(said, list):
        return said
    return [said] if said else []


def require_configuration(target: Target, commit: str, service: str) -> None:
    """Check that `service` can be created as `commit` configures it, while the working copy is elsewhere.

    Files that the commit does not hold, such as a file of secrets that git ignores, are the working copy's.

    Raises:
        UsageProblem: a file of its configuration differs from the commit's, or a compose file is no YAML.
            `ActionFailed`, `Unverifiable`: git cannot tell.
    """
    repository, found = target.application.repository, _references(target, commit, service)
    # A copy follows the working copy's links: they have to be the commit's.
    copied = [*target.engine.files, *found.environment.values()]
    links = _changed(repository, commit, copied, links=True)
    changed = list(dict.fromkeys([*links, *_changed(repository, commit, found.standing)]))
    if changed:
        raise UsageProblem(
            what=f"configuration of {service}",
            expected=f"what it mounts, links, and what its compose files read, as in commit {commit[:12]}",
            observed=f"changed since: {listed(changed, _SHOWN)}",
            source=str(repository),
            hint=f"this takes the working copy along: {typed(f'rollback full {commit}')}",
        )


@contextmanager
def configuration_at(target: Target, commit: str, service: str) -> Iterator[tuple[Path, ...]]:
    """Yield the compose files as `commit` had them, with the environment files that `service` had then.

    The working copy is not touched.

    Raises:
        UsageProblem: a compose file is no YAML. `ActionFailed`, `Unverifiable`: git cannot read the commit.
    """
    files, repository = target.engine.files, target.application.repository
    named = _references(target, commit, service).environment
    changed = {path for path in named.values() if _changed(repository, commit, [path])}
    # Where nothing is changed, compose reads the commit's very bytes.
    names = [name for name, path in named.items() if path in changed]
    with (
        tempfile.TemporaryDirectory(prefix="rollproof-") as folder,
        files_at(repository, commit, (*files, *(named[name] for name in names))) as copies,
    ):
        committed, instead = copies[: len(files)], dict(zip(names, copies[len(files) :], strict=True))
        if not instead:
            yield committed
            return
        rewritten = tuple(Path(folder) / f"{number}-{file.name}" for number, file in enumerate(files))
        for file, copy, new in zip(files, committed, rewritten, strict=True):
            new.write_text(with_environment(read_document(copy, str(file)), instead), encoding="utf-8")
        yield rewritten


def services_at(target: Target, commit: str) -> frozenset[str]:
    """Return the services that the compose files, and those that they include, describe at `commit`.

    Raises:
        UsageProblem: a compose file is no YAML. `ActionFailed`, `Unverifiable`: git cannot read the commit.
    """
    return frozenset(_references(target, commit, "").services)


@dataclass(frozen=True, slots=True)
class _Documents:
    """Compose files that are read as one; their relative paths start at `base`."""

    files: tuple[Path, ...]
    said: tuple[Mapping[str, Any], ...]
    base: Path


@dataclass(slots=True)
class _References:
    """The files that configure a service, apart from the profile's compose files.

    `environment` holds the service's environment files by their names in the compose files. It also holds
    other services' environment files that no longer exist. `services` are all services of the documents.
    """

    target: Target
    commit: str
    variables: Mapping[str, str | None]
    environment: dict[str, Path] = field(default_factory=dict)
    read: list[Path] = field(default_factory=list)
    mounts: dict[str, Path] = field(default_factory=dict)
    used: set[tuple[str, str]] = field(default_factory=set)
    defined: dict[tuple[str, str], Path] = field(default_factory=dict)
    seen: set[tuple[tuple[Path, ...], str]] = field(default_factory=set)
    services: set[str] = field(default_factory=set)

    @property
    def standing(self) -> list[Path]:
        """The files and folders that a copy cannot replace."""
        return [
            *self.read,
            *self.mounts.values(),
            *(path for name, path in self.defined.items() if name in self.used),
        ]

    def documents(self, files: Sequence[Path], base: Path) -> _Documents:
        """Return `files` as the commit holds them; a missing file is left for compose to report."""
        said = []
        for file in files:
            with (
                suppress(OSError),
                files_at(self.target.application.repository, self.commit, [file]) as (copy,),
            ):
                said.append(mapping(said_by(read_document(copy, str(file)))))
        return _Documents(tuple(files), tuple(said), base)

    def add(self, documents: _Documents, service: str, *, first: bool = False) -> None:
        """Add the files that `service` refers to in `documents`; `first` marks the profile's own."""
        if (documents.files, service) in self.seen:
            return
        self.seen.add((documents.files, service))
        for document in documents.said:
            for entry in entries(document.get("include")):
                self._include(entry, documents.base, service)
            for kind in ("configs", "secrets"):
                for name, one in mapping(document.get(kind)).items():
                    if file := mapping(one).get("file"):
                        self.defined[kind, name] = self._path(documents.base, file)
        for document in documents.said:
            self.services |= mapping(document.get("services")).keys()
            described = mapping(mapping(document.get("services")).get(service))
            self._extend(described.get("extends"), documents, first=first)
            self._environment(described, documents.base, first=first)
            self._mounts(described, documents.base)

    def _include(self, entry: object, base: Path, service: str) -> None:
        included = mapping(entry) or {"path": entry}
        files = self._paths(base, included.get("path"))
        if not files:
            return
        folder = included.get("project_directory")
        inner = self._path(base, folder) if folder else files[0].parent
        self.read += [*files, *self._paths(base, included.get("env_file"))]
        self.add(self.documents(files, inner), service)

    def _extend(self, extends: object, documents: _Documents, *, first: bool) -> None:
        extended = mapping(extends) or {"service": extends}
        name, file = extended.get("service"), extended.get("file")
        if not name:
            return
        if not file:
            self.add(documents, str(name), first=first)
            return
        path = self._path(documents.base, file)
        self.read.append(path)
        self.add(self.documents([path], path.parent), str(name))

    def _environment(self, described: Mapping[str, Any], base: Path, *, first: bool) -> None:
        names = _environment_names(described)
        if first:
            self.environment |= {name: self._path(base, name) for name in names}
        else:
            self.read += self._paths(base, names)
        self.read += self._paths(base, described.get("label_file"))

    def add_missing(self, documents: _Documents) -> None:
        """Add files that any service in `documents` needs and that are gone: compose fails without them."""
        for document in documents.said:
            for described in map(mapping, mapping(document.get("services")).values()):
                for name in _environment_names(described):
                    if not os.path.lexists(path := self._path(documents.base, name)):
                        self.environment[name] = path
                extended = mapping(described.get("extends")).get("file")
                read = self._paths(
                    documents.base, [*entries(extended), *entries(described.get("label_file"))]
                )
                self.read += [path for path in read if not os.path.lexists(path)]

    def _mounts(self, described: Mapping[str, Any], base: Path) -> None:
        for volume in entries(described.get("volumes")):
            if isinstance(volume, dict):
                source = interpolated(str(volume.get("source", "")), self.variables)
                point = str(volume.get("target"))
                bound = volume.get("type") == "bind"
            else:
                source, _, rest = interpolated(str(volume), self.variables).partition(":")
                point = rest.partition(":")[0]
                bound = bool(point) and source.startswith((".", "/", "~"))
            # A later file replaces an earlier mount at the same point.
            self.mounts.pop(point, None)
            if bound:
                self.mounts[point] = _place(base, source)
        for kind in ("configs", "secrets"):
            uses = entries(described.get(kind))
            self.used |= {(kind, str(mapping(use).get("source", use))) for use in uses}

    def _paths(self, base: Path, names: object) -> list[Path]:
        return [self._path(base, name) for name in entries(names)]

    def _path(self, base: Path, name: object) -> Path:
        return _place(base, interpolated(str(name), self.variables))


def _place(base: Path, name: str) -> Path:
    path = Path(name)
    with suppress(RuntimeError):  # the user has no home
        path = path.expanduser()
    return Path(os.path.abspath(base / path))  # noqa: PTH100 - links stay: what they mean is looked at too


def _environment_names(described: Mapping[str, Any]) -> list[str]:
    return [str(mapping(one).get("path", one)) for one in entries(described.get("env_file"))]


def _references(target: Target, commit: str, service: str) -> _References:
    engine = target.engine
    # Compose resolves all relative paths from the first file's folder.
    base = engine.files[0].parent
    values = engine.env_file or base / ".env"
    found = _References(target, commit, _variables(values))
    found.read.append(values)
    documents = found.documents(engine.files, base)
    found.add(documents, service, first=True)
    found.add_missing(documents)
    return found


def _variables(file: Path) -> dict[str, str | None]:
    # Compose reports a file that cannot be read.
    with suppress(OSError, ValueError):
        return {**dotenv_values(file), **os.environ}
    return dict(os.environ)


def _changed(repository: Path, commit: str, paths: Iterable[Path], *, links: bool = False) -> list[str]:
    """Return the files at or below `paths` that the working copy does not have as `commit` holds them.

    Links that lead to `paths` count too; with `links` only these. Files that git was told to ignore are
    taken to be as their user wants them.
    """
    found = {name: place for path in paths for name, place in _names(repository.resolve(), path)}
    if not found:
        return []
    names = {name for name, place in found.items() if not links or _is_link(place)}
    held = git(repository, "ls-tree", "-r", "-z", "--name-only", commit, "--", *sorted(found)).split("\0")
    folders = {str(folder) for name in held if name for folder in Path(name).parents}
    asked = sorted((names & {*held, *folders}) | _links_at(repository, commit, found))
    if not asked:
        return []
    # Also where the user has configured other tools, or another look.
    plain = ("--name-only", "-z", "--relative", "--no-renames", "--no-ext-diff", "--ignore-submodules=none")
    literal = (f":(literal){name}" for name in asked)
    changed = git(repository, "--no-optional-locks", "diff", *plain, commit, "--", *literal)
    return [name for name in changed.split("\0") if name]


def _links_at(repository: Path, commit: str, names: Iterable[str]) -> set[str]:
    """Return the links in `commit` among `names` and the folders that contain them."""
    above = {str(place) for name in names for place in (Path(name), *Path(name).parents)} - {"."}
    if not above:
        return set()
    listed = git(repository, "ls-tree", "-z", commit, "--", *sorted(above)).split("\0")
    return {name for mode, _, name in (one.partition("\t") for one in listed) if mode.startswith(_LINK)}


def _names(repository: Path, path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the names that git has for `path` and for each link that leads to it, each with its place."""
    for place in _places(path):
        if place.is_relative_to(repository):
            yield str(place.relative_to(repository)), place


def _places(path: Path, links: int = _MOST_LINKS) -> Iterator[Path]:
    """Yield each link that leads to `path`, and the place where it ends; at most `links` of a circle."""
    path = Path(os.path.abspath(path))  # noqa: PTH100 - links stay
    for place in (*reversed(path.parents), path):
        if links and _is_link(place):
            yield place
            yield from _places(place.parent / place.readlink() / path.relative_to(place), links - 1)
            return
    yield path


def _is_link(place: Path) -> bool:
    return os.path.islink(place)  # noqa: PTH114 - a place that nobody may look at is not in the repository
