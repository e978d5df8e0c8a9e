"""The insides of containers: the files that are bound into them, and changes in their own layer."""

from __future__ import annotations

import io
import os
import socket
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from fnmatch import fnmatchcase
from math import ceil
from pathlib import Path
from typing import IO, Any, cast

from docker import APIClient
from docker.errors import APIError, DockerException, NotFound
from requests.exceptions import RequestException

from rollproof.engines.engine import EngineUnreached, Inside, KeyedHash, NotThere
from rollproof.engines.host import connection, endpoint
from rollproof.errors import Meaning, Unverifiable, reason_of, unanswered
from rollproof.reading import open_regular
from rollproof.system.steps import step

# The engine's API returns JSON without a schema that a type could name.
Raw = Mapping[str, Any]
MODIFIED, ADDED, DELETED = 0, 1, 2
"""Kinds of a change, as in the engine's API."""
_READ_FILES, _READ_BYTES, _BLOCK = 500, 64 << 20, 1 << 16
_PROCESSES = Path("/proc")
# The bit of a folder in the engine's mode, as Go has it.
_FOLDER = 1 << 31
# Written while a container runs: places for short-lived files, the engine's own mounts, caches, locks.
_SHORT_LIVED = (
    *("/tmp/*", "/run/*", "/var/run/*", "/var/tmp/*", "/var/log/*", "/var/cache/*", "/var/lib/*"),  # noqa: S108 - compared, not written
    *("/dev/*", "/proc/*", "/sys/*", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab"),
    *("*/__pycache__", "*/__pycache__/*", "*.pyc", "*.pid", "*.log", "*.sock", "*/.cache", "*/.cache/*"),
    *("*/.bash_history", "*/.python_history", "*/.lesshst", "*/.wget-hsts"),
)


def inside(api: APIClient, raw: Raw, keyed: KeyedHash, ignored: Iterable[str], *, here: bool) -> Inside:
    """Return what is inside an inspected container; `ignored` are patterns of paths that may change.

    `here` says that its engine runs on this host, so that bound files are read without it.

    Raises the client's exceptions.
    """
    mounts = [str(mount["Destination"]) for mount in raw["Mounts"]]
    mounts += list(raw["HostConfig"].get("Tmpfs") or {})
    every = sorted((str(one["Path"]), int(one["Kind"])) for one in api.diff(raw["Id"]) or ())
    # A folder counts as modified when something in it is, which is listed by itself.
    parents = {path.rpartition("/")[0] or "/" for path, _ in every}
    left_out = (*ignored, *_SHORT_LIVED)
    changed = [
        (path, kind)
        for path, kind in every
        if not _below(path, mounts) and not _is(path, left_out) and (kind != MODIFIED or path not in parents)
    ]
    reading = _FilesRead(api, raw, keyed, here=here)
    return Inside(
        bound=dict(found for mount in raw["Mounts"] for found in reading.bound(mount)),
        modified={path: reading.changed(path) for path, kind in changed if kind == MODIFIED},
        added=tuple(path for path, kind in changed if kind == ADDED),
        deleted=tuple(path for path, kind in changed if kind == DELETED),
        unread=tuple(reading.unread),
    )


def _below(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder.rstrip('/')}/") for folder in folders)


def _is(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


class _FilesRead:
    """Reads files of one container, up to a limit: on this host where the engine is, else through the engine.

    The engine takes some tenths of a second for each, and a stack may have a hundred bound files.
    """

    def __init__(self, api: APIClient, raw: Raw, keyed: KeyedHash, *, here: bool) -> None:
        self._api, self._raw, self._keyed, self._here = api, raw, keyed, here
        self._files, self._bytes = _READ_FILES, _READ_BYTES
        self.unread: list[str] = []

    def bound(self, mount: Raw) -> Iterator[tuple[str, str]]:
        """Yield path and keyed hash of each file of a bind mount: itself, or what a read-only folder holds.

        A folder that the container may write to holds data: it is unread.
        """
        if mount["Type"] != "bind":
            return
        place, writable = str(mount["Destination"]), bool(mount.get("RW"))
        source = Path(str(mount["Source"]))
        try:
            if self._here and source.exists():
                # Git and many editors write a new file in the place of the old one. A container that runs
                # still has the old one, which only some accounts may read, such as root.
                seen = _PROCESSES / str(self._raw["State"]["Pid"]) / "root" / place.lstrip("/")
                source = seen if os.access(seen, os.R_OK) else source
                yield from self._bound_here(place, source, writable=writable)
                return
        except OSError:
            pass  # this account may not read it: the engine may
        for member, content in self._members(place, folders=not writable):
            path = f"{place.rpartition('/')[0]}/{member.name}"
            if found := self._hash_of(path, member, content):
                yield path, found

    def _bound_here(self, place: str, source: Path, *, writable: bool) -> Iterator[tuple[str, str]]:
        if source.is_dir() and writable:
            self.unread.append(f"{place}, a folder that it may write to")
            return
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            name = f"{place}/{path.relative_to(source)}" if path != source else place
            if path.is_symlink():
                yield name, self._keyed(f"link {name}", [os.fsencode(path.readlink())])
            elif path.is_file():
                if self._too_much(path.stat().st_size):
                    self.unread.append(f"{name} and what follows it, more than is read")
                    return
                with open_regular(path) as stream:
                    yield name, self._keyed(f"file {name}", _blocks(stream))

    def changed(self, path: str) -> str:
        """Return the keyed hash of a file's content and rights, or of a folder's rights; "" if unreadable."""
        for member, content in self._members(path, first=True):
            name = f"{path} {member.mode:o} {member.uid}:{member.gid}"
            return self._hash_of(name, member, content) or self._keyed(name, ())
        return ""

    def _too_much(self, size: int) -> bool:
        self._files, self._bytes = self._files - 1, self._bytes - size
        return self._files < 0 or self._bytes < 0

    def _hash_of(self, name: str, member: tarfile.TarInfo, content: IO[bytes] | None) -> str:
        """Return the keyed hash of a file, or of a link's goal; "" for everything else."""
        if member.issym():
            return self._keyed(f"link {name}", [os.fsencode(member.linkname)])
        return self._keyed(f"file {name}", _blocks(content)) if content is not None else ""

    def _members(
        self, place: str, *, folders: bool = True, first: bool = False
    ) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
        """Yield what is at `place`, by the engine: each member, and the content of a file.

        With `first`, of a folder only itself. What is too large, unreadable, or a folder although `folders`
        are not wanted, is unread.
        """
        try:
            blocks, stat = self._api.get_archive(self._raw["Id"], place)
        except APIError:
            # A socket cannot be in an archive, nor can what is gone since.
            self.unread.append(place)
            return
        data = bytearray()
        # Closing it ends the answer, however much is left.
        with closing(cast("Any", blocks)):
            is_folder = bool(stat["mode"] & _FOLDER)
            if is_folder and not folders:
                self.unread.append(f"{place}, a folder that it may write to")
                return
            for block in blocks:
                data += block
                if len(data) > max(self._bytes, 0) or (first and is_folder):
                    break
        if self._too_much(len(data)):
            self.unread.append(f"{place}, more than is read")
            return
        with tarfile.open(fileobj=io.BytesIO(data)) as members:
            for member in members:
                whole = member.isfile() and not (first and is_folder)
                yield member, members.extractfile(member) if whole else None


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: stream.read(_BLOCK), b"")


# The version of the API by the engine's address. To tell it, an engine starts two programs, which costs more
# than most questions: it is asked once, and again after an error, since another engine may be there by then.
_versions: dict[str, str] = {}


@contextmanager
def asking(what: str, project: str, deadline_seconds: float, context: str = "") -> Iterator[APIClient]:
    """Provide the engine's API for a question about `what` of `project`.

    `context` is the docker context of the engine, by default the one in use.

    Raises:
        EngineUnreached: the engine did not answer. `NotThere`, or another `Unverifiable`: it answered with
            an error.
    """
    try:
        with step(f"container engine: {what}"), closing(_connect(deadline_seconds, context)) as api:
            yield api
    except (DockerException, RequestException, OSError) as error:
        _versions.clear()
        if not isinstance(error, APIError):
            raise _unreached(error, what, deadline_seconds, context) from None
        answer = NotThere if isinstance(error, NotFound) else Unverifiable
        raise answer(
            what=what,
            expected="an answer of success",
            observed=f"{type(error).__name__}: {error}",
            source=f"container engine, project {project}",
            hint="see that the engine runs and that this user may use it: docker version",
        ) from None


def _unreached(error: Exception, what: str, deadline_seconds: float, context: str) -> EngineUnreached:
    """Return the error of an engine without an answer; one that is gone is one cause, whatever was asked."""
    means = unanswered(error)
    late = means is Meaning.TIMEOUT
    system = isinstance(error, OSError) and error.strerror is not None
    return EngineUnreached(
        what=what if late else "container engine",
        expected=f"an answer within {deadline_seconds:g} s" if late else "an answer",
        observed="none" if late else reason_of(error) if system else f"{type(error).__name__}: {error}",
        source=endpoint(context),
        hint="see that the engine runs and that this user may use it:"
        f" docker {f'--context {context} ' if context else ''}version",
        means=means,
    )


def _connect(deadline_seconds: float, context: str) -> APIClient:
    settings = connection(context)
    address = str(settings["base_url"])
    scheme, _, path = address.partition("://")
    if scheme == "unix":
        # The SDK leaves a socket open when nobody listens, and reports less about it.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(deadline_seconds)
            probe.connect(path)
    api = APIClient(**settings, version=_versions.get(address, "auto"), timeout=ceil(deadline_seconds))
    _versions[address] = api.api_version
    return api
