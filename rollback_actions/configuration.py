"""The configuration of one service as a commit has it: its compose files, and what these refer to.

Compose looks for that where it stands, in the working copy. Environment files of a service are read when its
container is created, so that the commit's can be put in their place. What is mounted stays where it is, and
so does what compose reads by the word of another file: that has to be as the commit has it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from fixtures.errors import UsageProblem, listed
from fixtures.git import git
from fixtures.target import Target
from rollback_actions.commit import files_at
from rollback_actions.compose_document import (
    entries,
    interpolated,
    mapping,
    read_document,
    said_by,
    with_environment,
)

_SHOWN = 5
_LINK = "120000"  # its mode in a commit
_MOST_LINKS = 40  # as many as the system follows


def require_configuration(target: Target, commit: str, service: str) -> None:
    """See that `service` can be created as `commit` configures it, while the working copy is elsewhere.

    What the commit does not hold, such as a file of secrets that git ignores, is that of the working copy.

    Raises:
        UsageProblem: a file that it is configured by is another one there, or a compose file is no YAML.
            `ActionFailed`, `Unverifiable`: git cannot tell.
    """
    repository, found = target.application.repository, _references(target, commit, service)
    # A copy is of what the working copy's links lead to: they have to be the commit's.
    copied = [*target.engine.files, *found.environment.values()]
    links = _changed(repository, commit, copied, links=True)
    changed = list(dict.fromkeys([*links, *_changed(repository, commit, found.standing)]))
    if changed:
        raise UsageProblem(
            what=f"configuration of {service}",
            expected=f"what it mounts, links, and what its compose files read, as in commit {commit[:12]}",
            observed=f"changed since: {listed(changed, _SHOWN)}",
            source=str(repository),
            hint=f"rollback full {commit} takes the working copy along; alone, it would run with these",
        )


@contextmanager
def configuration_at(target: Target, commit: str, service: str) -> Iterator[tuple[Path, ...]]:
    """Yield the compose files as `commit` had them, with the environment files that `service` had there.

    The working copy is not touched.

    Raises:
        UsageProblem: one is no YAML. `ActionFailed`, `Unverifiable`: git cannot tell what the commit holds.
    """
    files, repository = target.engine.files, target.application.repository
    named = _references(target, commit, service).environment
    changed = {path for path in named.values() if _changed(repository, commit, [path])}
    # Where nothing is changed, compose reads the very bytes of the commit.
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


@dataclass(frozen=True, slots=True)
class _Documents:
    """Compose files that are read as one; relative paths in them are taken from `base`."""

    files: tuple[Path, ...]
    said: tuple[Mapping[str, Any], ...]
    base: Path


@dataclass(slots=True)
class _References:
    """What configures a service besides the compose files of the profile.

    `environment` are its environment files, and those of other services that are gone, by the names that the
    compose files have for them.
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

    @property
    def standing(self) -> list[Path]:
        """The files and folders that no copy can take the place of."""
        return [
            *self.read,
            *self.mounts.values(),
            *(path for name, path in self.defined.items() if name in self.used),
        ]

    def documents(self, files: Sequence[Path], base: Path) -> _Documents:
        """Return `files` as the commit holds them, where they are there: compose says what is missing."""
        said = []
        for file in files:
            with (
                suppress(OSError),
                files_at(self.target.application.repository, self.commit, [file]) as (copy,),
            ):
                said.append(mapping(said_by(read_document(copy, str(file)))))
        return _Documents(tuple(files), tuple(said), base)

    def add(self, documents: _Documents, service: str, *, first: bool = False) -> None:
        """Add what `service` refers to in `documents`, of which the `first` are those of the profile."""
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
        """Add what any service in `documents` needs and is gone: compose reads none of them without it."""
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
            # A later file puts another one in its place.
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
    with suppress(RuntimeError):  # a user who has no home
        path = path.expanduser()
    return Path(os.path.abspath(base / path))  # noqa: PTH100 - links stay: what they mean is looked at too


def _environment_names(described: Mapping[str, Any]) -> list[str]:
    return [str(mapping(one).get("path", one)) for one in entries(described.get("env_file"))]


def _references(target: Target, commit: str, service: str) -> _References:
    engine = target.engine
    # Compose takes the relative paths of all of them from the folder of the first.
    base = engine.files[0].parent
    values = engine.env_file or base / ".env"
    found = _References(target, commit, _variables(values))
    found.read.append(values)
    documents = found.documents(engine.files, base)
    found.add(documents, service, first=True)
    found.add_missing(documents)
    return found


def _variables(file: Path) -> dict[str, str | None]:
    # What cannot be read is compose's to say.
    with suppress(OSError, ValueError):
        return {**dotenv_values(file), **os.environ}
    return dict(os.environ)


def _changed(repository: Path, commit: str, paths: Iterable[Path], *, links: bool = False) -> list[str]:
    """Return the files at or below `paths` that are not in the working copy as `commit` holds them.

    So are links that lead to `paths`; with `links` only these. What git was told not to look at is as whoever
    told it so wants it.
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
    """Return which of `names`, and of the folders that they are in, are links in `commit`."""
    above = {str(place) for name in names for place in (Path(name), *Path(name).parents)} - {"."}
    if not above:
        return set()
    listed = git(repository, "ls-tree", "-z", commit, "--", *sorted(above)).split("\0")
    return {name for mode, _, name in (one.partition("\t") for one in listed) if mode.startswith(_LINK)}


def _names(repository: Path, path: Path) -> Iterator[tuple[str, Path]]:
    """Yield what git calls `path`, and each link that leads to it; with the place itself."""
    for place in _places(path):
        if place.is_relative_to(repository):
            yield str(place.relative_to(repository)), place


def _places(path: Path, links: int = _MOST_LINKS) -> Iterator[Path]:
    """Yield each link that leads to `path`, and the place where it ends; of a circle no more than `links`."""
    path = Path(os.path.abspath(path))  # noqa: PTH100 - links stay
    for place in (*reversed(path.parents), path):
        if links and _is_link(place):
            yield place
            yield from _places(place.parent / place.readlink() / path.relative_to(place), links - 1)
            return
    yield path


def _is_link(place: Path) -> bool:
    return os.path.islink(place)  # noqa: PTH114 - what nobody may look at is none of the repository
