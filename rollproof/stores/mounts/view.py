"""The application's own state, view: its mounts as its containers have them, and the files in each.

The engine sends a mount's files as a tar, whether the container runs or not; nothing is run in it.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from itertools import islice
from typing import IO, cast

from rollproof.engines.engine import Container, ContainerEngine, Mount
from rollproof.errors import Unverifiable
from rollproof.stores.contract import Answer
from rollproof.stores.mounts.descriptor import MountsProfile
from rollproof.stores.reach import Readable, StoreReader

MOST_FILES = 200_000
"""Of one mount: their keys are held in memory."""
FIRST = 100
"""Files that one question looks at: it is asked with every beat."""
BLOCK = 512
_END = bytes(2 * BLOCK)
"""The end of a tar. The engine ends its answer in order even where it could not read a file to its end."""


@dataclass(frozen=True, slots=True)
class HeldMount:
    """A mount of the profile as a container has it. `nested` are the places of other mounts inside it."""

    name: str
    container: Container
    mount: Mount
    nested: tuple[str, ...]


@dataclass(slots=True)
class File:
    """A file, folder or link: its path in the mount, "" for the mount itself, and what the engine says."""

    path: str
    info: tarfile.TarInfo
    tar: tarfile.TarFile

    def opened(self) -> IO[bytes]:
        """Return the content of a regular file, of others nothing; to be read before the next file."""
        return (self.tar.extractfile(self.info) if self.info.isreg() else None) or io.BytesIO()

    def below(self, folder: str) -> tarfile.TarInfo:
        """Return what the engine says of it, with its path, and that of a hard link, below `folder`."""
        info = copy(self.info)
        info.name = f"{folder}/{self.path}" if self.path else folder
        if info.islnk():
            first = self.info.name.removesuffix(self.path)
            info.linkname = f"{folder}/{info.linkname.removeprefix(first)}"
        # These would win over the two above.
        info.pax_headers = {k: v for k, v in info.pax_headers.items() if k not in {"path", "linkpath"}}
        return info


class _Stream:
    """The engine's chunks as `tarfile` reads them; remembers the end."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""
        self.tail = b""

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, fewer only at the end."""
        parts, length = [self._rest], len(self._rest)
        while length < size and (chunk := next(self._chunks, b"")):
            parts.append(chunk)
            length += len(chunk)
        whole = b"".join(parts)
        found, self._rest = whole[:size], whole[size:]
        self.tail = (self.tail + found[-len(_END) :])[-len(_END) :]
        return found


class MountsReader(StoreReader[MountsProfile]):
    """The common part of the view, the content reader and the export."""

    kind = "mounts"

    def __init__(self, readable: Readable[MountsProfile]) -> None:
        """Remember the engine; nothing is asked yet."""
        super().__init__(readable)
        self._engine = readable.engine

    def mounts(self) -> dict[str, HeldMount]:
        """Return every mount of the profile, sorted by name.

        Raises:
            Unverifiable: a container or its mount is not there, or replicas of a service do not share it.
        """
        there = self._asked().containers()
        return {name: self.found(name, there) for name in sorted(self._profile.held)}

    def mounted(self, collection: str) -> HeldMount:
        """Return one mount of the profile; raises `Unverifiable`."""
        if collection not in self._profile.held:
            raise self._missing(collection, "none in the profile")
        return self.found(collection, self._asked().containers())

    @contextmanager
    def files(self, held: HeldMount) -> Iterator[Iterator[File]]:
        """Give the files of a mount as they are read, the mount itself first.

        Raises:
            Unverifiable: the engine did not send all of them, or there are too many.
        """
        place, seconds = held.mount.destination, self._reach.deadline
        try:
            with self._asked().files(held.container.id, place, seconds) as chunks:
                stream = _Stream(chunks)
                with tarfile.open(
                    fileobj=cast("IO[bytes]", stream), mode="r|", errors="surrogateescape"
                ) as tar:
                    yield self._read(held, tar, stream)
        except tarfile.TarError as error:
            raise self._reach.failed(
                f"{held.name}: {error}", expected="the files of a mount", hint="read it again"
            ) from None
        except Unverifiable as problem:
            if self.name in problem.what:
                raise
            # The engine knows containers, and does not say which store was asked for.
            raise self._reach.failed(
                f"{held.name}: {problem.observed}",
                expected=str(problem.expected),
                hint=problem.hint,
                means=problem.means,
            ) from None

    def _read(self, held: HeldMount, tar: tarfile.TarFile, stream: _Stream) -> Iterator[File]:
        number = 0
        root: str | None = None
        for number, info in enumerate(tar):
            tar.members.clear()  # type: ignore[attr-defined]  # else it remembers each
            name = info.name.rstrip("/")
            if root is None:
                root = name
                if not info.isdir():
                    # Nothing can be put into it: a restore would fail once everything is stopped.
                    raise self._reach.failed(
                        f"{held.name}: a file",
                        expected="a folder with files",
                        hint="mount the folder that it is in, or call it stateless: application.stateless",
                    )
            path = name.removeprefix(root).lstrip("/")
            if number > MOST_FILES:
                raise self._reach.failed(
                    f"more in {held.name}",
                    expected=f"{MOST_FILES:,} files at most",
                    hint="too many for a store of this kind: name the mount in application.stateless instead",
                )
            if not any(path == inner or path.startswith(f"{inner}/") for inner in held.nested):
                yield File(path, info, tar)
        while stream.read(1 << 20):
            pass
        if root is None or stream.tail != _END:
            raise self._reach.failed(
                f"{held.name}: an end after {number:,} files",
                expected="all files of the mount",
                hint="a file may have changed while it was read: read it again",
            )

    def found(self, name: str, there: Mapping[str, Sequence[Container]]) -> HeldMount:
        """Return the mount `name` of one of the containers `there`, by service; raises `Unverifiable`."""
        service, _, place = name.partition(":")
        containers = there.get(service, ())
        found = [
            HeldMount(name, container, mount, _inside(container, place))
            for container in containers
            for mount in container.mounts
            if mount.at(place)
        ]
        if not found:
            observed = "one without it" if containers else f"no container of {service}"
            raise self._missing(name, observed)
        if len({one.mount.name for one in found}) > 1:
            raise self._missing(name, f"{len(found)} replicas with one each")
        return found[0]

    def _missing(self, name: str, observed: str) -> Unverifiable:
        return self._reach.failed(
            observed,
            expected=f"a container with the mount {name}",
            hint="create the container, or correct `held` of this store in the profile",
        )

    def _asked(self) -> ContainerEngine:
        if self._engine is None:
            raise self._missing(self._profile.held[0], "no engine to ask for it")
        return self._engine


def _inside(container: Container, place: str) -> tuple[str, ...]:
    """Return the places of other mounts below `place`, relative to it."""
    below = f"{place.rstrip('/')}/"
    return tuple(
        mount.destination.removeprefix(below).rstrip("/")
        for mount in container.mounts
        if mount.destination.startswith(below)
    )


class View(MountsReader):
    """Read-only view of the application's own state. See `StoreView`."""

    def ask(self) -> Answer:
        """Look at the first files of the first mount that has any, at `FIRST` of them at most."""
        mounts = self.mounts()
        seen = {}
        for name, held in mounts.items():
            with self.files(held) as files:
                seen[name] = sum(1 for file in islice(files, FIRST + 1) if file.path)
            if seen[name]:
                break
        name = next((name for name, count in seen.items() if count), next(iter(mounts)))
        return Answer("first files", name, seen[name], f"mounts of {mounts[name].container.name}")

    def counts(self) -> Mapping[str, int]:
        """Return the number of files, folders and links in each mount."""
        return {name: self._count(held) for name, held in self.mounts().items()}

    def _count(self, held: HeldMount) -> int:
        with self.files(held) as files:
            return sum(1 for file in files if file.path)
