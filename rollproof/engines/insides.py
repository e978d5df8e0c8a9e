"""The insides of containers: the files that are bound into them, and changes in their own layer."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any

from docker import APIClient
from docker.errors import APIError
from docker.utils import decode_json_header

from rollproof.engines.address import engine_is_here
from rollproof.engines.engine import Inside, Seal
from rollproof.reading import lines_of, open_regular

# The engine's API returns JSON without a schema that a type could name.
Raw = Mapping[str, Any]
_READ_FILES, _READ_BYTES, _BLOCK = 500, 64 << 20, 1 << 16
# A file that compose places in a new container has the time of that to the second, by the clock of compose's
# machine. A file that a program writes has a part of a second.
_PLACED_SECONDS = 60.0
# So many files, each of which may be one, are asked for; those of secrets, and not far below the root, first.
_ASKED, _SECRETS = 50, "/run/secrets/"
_STAT = "X-Docker-Container-Path-Stat"
_PROCESSES = Path("/proc")
# The kernel's mark of a mount whose file has no name any more.
_REPLACED = b"//deleted"
# Of the engine's mode, as Go has it: the bits of what is no regular file.
_NO_FILE = 1 << 31 | 1 << 27 | 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19
# Written while a container runs: places for short-lived files, the engine's own mounts, caches, locks.
_SHORT_LIVED = (
    *("/tmp/*", "/run/*", "/var/run/*", "/var/tmp/*", "/var/log/*", "/var/cache/*", "/var/lib/*"),  # noqa: S108 - compared, not written
    *("/dev/*", "/proc/*", "/sys/*", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab"),
    *("*/__pycache__", "*/__pycache__/*", "*.pyc", "*.pid", "*.log", "*.sock", "*/.cache", "*/.cache/*"),
    *("*/.bash_history", "*/.python_history", "*/.lesshst", "*/.wget-hsts"),
)


def inside(api: APIClient, raw: Raw, seal: Seal, ignored: Iterable[str]) -> Inside:
    """Return what is inside an inspected container; `ignored` are patterns of paths that may change.

    Raises the client's exceptions.
    """
    own = tuple(ignored)
    patterns = (*_SHORT_LIVED, *own)
    mounts = [str(mount["Destination"]) for mount in raw["Mounts"]]
    mounts += list(raw["HostConfig"].get("Tmpfs") or {})
    every = list(_changed(api, raw))
    # A folder counts as modified when something in it is: what that is, is told by itself.
    parents = {path.rpartition("/")[0] or "/" for path, _ in every}
    changed = [
        (path, kind)
        for path, kind in every
        if not _below(path, mounts) and not _is(path, patterns) and (kind != MODIFIED or path not in parents)
    ]
    reading = _Reading(api, raw, seal)
    added = [
        path for path, kind in every if kind == ADDED and not _below(path, mounts) and not _is(path, own)
    ]
    placed = {path: reading.changed(path) for path in _placed(api, raw, added)}
    return Inside(
        bound=dict(found for mount in raw["Mounts"] for found in reading.bound(mount)),
        modified={path: reading.changed(path) for path, kind in changed if kind == MODIFIED},
        added=tuple(path for path, kind in changed if kind == ADDED),
        deleted=tuple(path for path, kind in changed if kind == DELETED),
        unread=tuple(reading.unread),
        placed={path: sealed for path, sealed in placed.items() if sealed},
    )


def _placed(api: APIClient, raw: Raw, added: Iterable[str]) -> Iterator[str]:
    """Yield the files among `added` that compose placed: secrets and configs without a file of the host."""
    created = datetime.fromisoformat(str(raw["Created"])).timestamp()
    asked = 0
    for path in sorted(added, key=lambda path: (not path.startswith(_SECRETS), path.count("/"), path)):
        if (here := found_in(raw, path)) is not None:
            whole = stat.S_ISREG(here.st_mode) and here.st_mtime_ns % 10**9 == 0
            written = here.st_mtime
        else:
            asked += 1
            if asked > _ASKED:
                return
            whole, written = _written(api, raw["Id"], path)
        if whole and abs(written - created) <= _PLACED_SECONDS:
            yield path


def _written(api: APIClient, container: str, path: str) -> tuple[bool, float]:
    """Return whether there is a file whose time has no part of a second, and that time."""
    # The SDK has no call for it.
    url = f"{api.base_url}/containers/{container}/archive"
    header = api.head(url, params={"path": path}, timeout=api.timeout).headers.get(_STAT)
    told = decode_json_header(header) if header else None  # gone since
    if told is None or told["mode"] & _NO_FILE or "." in told["mtime"]:
        return False, 0.0
    return True, datetime.fromisoformat(told["mtime"]).timestamp()


def _changed(api: APIClient, raw: Raw) -> Iterator[tuple[str, int]]:
    """Yield path and kind of each change in a container's own layer, sorted."""
    if (found := changes_in(raw)) is None:
        found = sorted((str(one["Path"]), int(one["Kind"])) for one in api.diff(raw["Id"]) or ())
    yield from found


def _below(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder.rstrip('/')}/") for folder in folders)


def _is(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


class _Reading:
    """Reads files of one container, up to a limit: on this host where the engine is, else through the engine.

    The engine takes some tenths of a second for each, and a stack may have a hundred bound files.
    """

    def __init__(self, api: APIClient, raw: Raw, seal: Seal) -> None:
        self._api, self._container, self._seal = api, raw["Id"], seal
        self._process = _PROCESSES / str(raw["State"]["Pid"])
        self._files, self._bytes = _READ_FILES, _READ_BYTES
        self.unread: list[str] = []

    def bound(self, mount: Raw) -> Iterator[tuple[str, str]]:
        """Yield path and seal of each file that a bind mount brings: a file, or a read-only folder's files.

        A folder that the container may write to holds data: it is not read, and told as unread.
        """
        place = str(mount["Destination"])
        if mount["Type"] != "bind":
            return
        source = Path(str(mount["Source"]))
        try:
            if engine_is_here() and source.exists():
                source = self._as_seen(place, source)
                yield from self._bound_here(place, source, writable=bool(mount.get("RW")))
                return
        except OSError:
            pass  # this account may not read it: the engine may
        yield from self._bound_there(place, writable=bool(mount.get("RW")))

    def _bound_here(self, place: str, source: Path, *, writable: bool) -> Iterator[tuple[str, str]]:
        if source.is_dir() and writable:
            self._unread_folder(place)
            return
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            name = f"{place}/{path.relative_to(source)}" if path != source else place
            if path.is_symlink():
                yield name, self._seal(f"link {name}", [os.fsencode(path.readlink())])
            elif path.is_file():
                if self._too_much(path.stat().st_size):
                    self.unread.append(f"{name} and what follows it, more than is read")
                    return
                with open_regular(path) as stream:
                    yield name, self._seal(f"file {name}", _blocks(stream))

    def _as_seen(self, place: str, source: Path) -> Path:
        """Return where to read a bound file or folder: the host's, or what that has replaced since the start.

        Git and many editors write a new file in the place of the old one. A container that runs still sees
        the old one, until it is restarted. Whether that is so, only some accounts may see, such as root.
        """
        escaped = (b"\\%03o" % byte if byte in b" \t\n\\" else b"%c" % byte for byte in os.fsencode(place))
        at = b"".join(escaped)
        with suppress(OSError):
            for line in lines_of(self._process / "mountinfo"):
                of, mounted = line.split(b" ")[3:5]
                if mounted == at and of.endswith(_REPLACED):
                    return self._process / "root" / place.lstrip("/")
        return source

    def _bound_there(self, place: str, *, writable: bool) -> Iterator[tuple[str, str]]:
        with self._archive(place) as (members, is_folder):
            if is_folder and writable:
                self._unread_folder(place)
                return
            for member in members:
                path = f"{place.rpartition('/')[0]}/{member.name}"
                if self._too_much(member.size):
                    self.unread.append(f"{path} and what follows it, more than is read")
                    return
                if sealed := self._sealed(path, members, member):
                    yield path, sealed

    def _unread_folder(self, place: str) -> None:
        self.unread.append(f"{place}, a folder that it may write to")

    def changed(self, path: str) -> str:
        """Return the seal of a file's content and rights, or of a folder's rights; "" if unreadable."""
        with self._archive(path) as (members, _):
            member = next(iter(members), None)
            if member is None or self._too_much(member.size):
                self.unread.append(path)
                return ""
            rights = f"{member.mode:o} {member.uid}:{member.gid}"
            return self._sealed(f"{path} {rights}", members, member) or self._seal(f"{path} {rights}", ())

    def _too_much(self, size: int) -> bool:
        self._files, self._bytes = self._files - 1, self._bytes - size
        return self._files < 0 or self._bytes < 0

    def _sealed(self, name: str, members: tarfile.TarFile, member: tarfile.TarInfo) -> str:
        """Return the seal of a file, or of a link's goal; "" for everything else."""
        if member.issym():
            return self._seal(f"link {name}", [os.fsencode(member.linkname)])
        content = members.extractfile(member) if member.isfile() else None
        if content is None:
            return ""
        return self._seal(f"file {name}", _blocks(content))

    @contextmanager
    def _archive(self, place: str) -> Iterator[tuple[tarfile.TarFile, bool]]:
        """Yield what is at `place` as an archive, and whether it is a folder; nothing if unreadable."""
        try:
            blocks, found = self._api.get_archive(self._container, place)
        except APIError:
            # A socket cannot be in an archive, nor can what is gone since.
            self.unread.append(place)
            blocks, found = iter(()), {"mode": 0}
        with closing(_Stream(blocks)) as stream, stream.archive() as members:
            # The engine gives the mode as Go does: its highest bit says that it is a folder.
            yield members, bool(int(found["mode"]) & 1 << 31)


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: stream.read(_BLOCK), b"")


class _Stream:
    """The blocks of an answer, as a file to read; closing it ends the answer, however much is left."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._rest = blocks, b""

    def archive(self) -> tarfile.TarFile:
        """Return it as an archive; one without any block is empty."""
        first = next(self._blocks, None)
        if first is None:
            return tarfile.open(fileobj=io.BytesIO(bytes(2 * tarfile.BLOCKSIZE)), mode="r|")
        self._rest = first
        return tarfile.open(fileobj=self, mode="r|")  # type: ignore[call-overload,no-any-return]

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer at the end."""
        while len(self._rest) < size and (block := next(self._blocks, None)) is not None:
            self._rest += block
        result, self._rest = self._rest[:size], self._rest[size:]
        return result

    def close(self) -> None:
        """End the answer."""
        if isinstance(self._blocks, Generator):
            self._blocks.close()


MODIFIED, ADDED, DELETED = 0, 1, 2
"""Kinds of a change, as in the engine's API."""
# A rootless engine may set none of the first kind.
_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")


def changes_in(raw: Mapping[str, Any]) -> list[tuple[str, int]] | None:
    """Return path and kind of each change in the layer of an inspected container, as ``docker diff`` does.

    The engine walks through all files of the image for it. That costs a second of a processor for each
    container, while production is down. The layer holds nothing but what was changed.

    None where that cannot be told here. That is so of another host or storage driver, and of a layer that
    this account may not read. So it is of a folder that replaces one of the image's.
    """
    driver = raw.get("GraphDriver") or {}
    data = driver.get("Data") or {}
    if driver.get("Name") != "overlay2" or not {"UpperDir", "LowerDir"} <= data.keys():
        return None
    if not engine_is_here():
        return None
    upper = Path(str(data["UpperDir"]))
    lowers = [Path(one) for one in str(data["LowerDir"]).split(":")]
    try:
        return sorted(_changes(upper, lowers))
    except OSError:
        return None


def found_in(raw: Mapping[str, Any], path: str) -> os.stat_result | None:
    """Return what the layer of an inspected container has at `path`; None where that cannot be told here."""
    driver = raw.get("GraphDriver") or {}
    upper = (driver.get("Data") or {}).get("UpperDir")
    if driver.get("Name") != "overlay2" or not upper or not engine_is_here():
        return None
    try:
        return (Path(str(upper)) / path.lstrip("/")).lstat()
    except OSError:
        return None


def _changes(upper: Path, lowers: list[Path]) -> Iterator[tuple[str, int]]:
    """Yield the changes; raises `OSError` for what cannot be read, or told from the layer alone."""
    if not all(lower.is_dir() for lower in (upper, *lowers)):
        raise FileNotFoundError(upper)
    for folder, folders, files in os.walk(upper, onerror=_raise):
        within = Path(folder).relative_to(upper)
        shown = list(_not_hidden(lowers, within))
        for name in (*folders, *files):
            path, inside = Path(folder) / name, within / name
            now, before = path.lstat(), _before(inside, shown)
            if _is_whiteout(now):
                if before is not None:
                    yield f"/{inside}", DELETED
            elif before is None:
                yield f"/{inside}", ADDED
            elif stat.S_ISDIR(now.st_mode) and _is_opaque(path):
                raise OSError(f"{path} replaces a folder of the image")
            elif _differs(before, now):
                yield f"/{inside}", MODIFIED


def _raise(error: OSError) -> None:
    raise error


def _not_hidden(lowers: list[Path], folder: Path) -> Iterator[Path]:
    """Yield the layers of the image that show in `folder`, from the top.

    A layer with a link or a whiteout at `folder`, or above it, hides itself and all layers below. A layer
    whose folder replaces the lower ones hides only those.
    """
    places = [place for place in (*reversed(folder.parents), folder) if place != Path()]
    for lower in lowers:
        replaces = False
        for place in places:
            found = _found(lower / place)
            if found is None:
                continue
            # From the outermost on: nothing may be asked behind a link.
            if stat.S_ISLNK(found.st_mode) or _is_whiteout(found):
                return
            replaces = replaces or (stat.S_ISDIR(found.st_mode) and _is_opaque(lower / place))
        yield lower
        if replaces:
            return


def _before(inside: Path, lowers: list[Path]) -> os.stat_result | None:
    """Return what the image has at a path, or None; the first of its layers that says something counts."""
    found = next((found for lower in lowers if (found := _found(lower / inside)) is not None), None)
    return None if found is None or _is_whiteout(found) else found


def _found(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_whiteout(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _is_opaque(folder: Path) -> bool:
    return any(_has_mark(folder, mark) for mark in _OPAQUE)


def _has_mark(folder: Path, mark: str) -> bool:
    try:
        return os.getxattr(folder, mark, follow_symlinks=False) == b"y"
    except OSError:
        return False


def _differs(before: os.stat_result, now: os.stat_result) -> bool:
    """Return whether the engine would call it modified; a file that was only opened to write is not."""
    same = (before.st_mode, before.st_uid, before.st_gid, before.st_rdev)
    if same != (now.st_mode, now.st_uid, now.st_gid, now.st_rdev):
        return True
    if stat.S_ISDIR(now.st_mode):
        return False
    return (before.st_size, before.st_mtime_ns) != (now.st_size, now.st_mtime_ns)
