"""Verify a bundle: every file by its hash, nothing missing, added or changed.

Nothing is unpacked. The file may come from an attacker. The sizes it claims are bounded before it is read, by
the size of the file itself too. Nothing that it says is shown at full length.

The bytes around the files (headers, padding, ends) are checked too, since readers of archives ignore them
and something could hide there. All of them must be as `write_bundle` writes them.
"""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from reports.bundle.bundle import (
    LARGEST_MANIFEST,
    MANIFEST,
    MODE,
    MOST_FILES,
    Bundle,
    Manifest,
    SealedManifest,
    alike,
    member_of,
    most_bytes,
)
from rollproof.errors import ExitCode, Problem, Unverifiable, UsageProblem, reason_of, shortened
from rollproof.home import typed
from rollproof.reading import open_regular
from rollproof.system.files import canonical_json, strict_json
from rollproof.system.record_files import record_of

# Also the largest header of a file in the archive, and so the longest name.
_CHUNK = 64 * 1024
# Start of a gzip file: its kind, no flags, no time, packed as well as can be, by no named system.
_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
_WITH_HEAD = 16 + zlib.MAX_WBITS
# A name, a file of the manifest and a text that was left out each have a few of these.
_SIGNS = (b"[", b"{", b",", b":")
_MOST_SIGNS = 8 * MOST_FILES
_SHOWN = 80
_NOTHING_ELSE = "nothing but the files"
# Errors that the readers of archives raise for a file of another format, or for one made to break them.
_NO_ARCHIVE = (
    EOFError,
    zlib.error,
    tarfile.TarError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    RecursionError,
    MemoryError,
)


def _wrong_head(head: bytes) -> str:
    """Return the deviation in a packed file's head, or ""."""
    # A reader would look for the end of a name that may have none.
    if head == _HEAD:
        return ""
    return "a comment, name, time or system in the head of the packed file"


class _Unpacked:
    """The unpacked bytes of a bundle as a file, read once and in sequence; what a reader takes is limited.

    `frame` are those that were read since it was emptied, without the contents of files.
    """

    def __init__(self, raw: BinaryIO, path: Path) -> None:
        raw.seek(0)
        self._raw, self._path = raw, path
        self._inflate = zlib.decompressobj(_WITH_HEAD)
        self._left, self._at, self._before = b"", 0, 0
        self.frame = b""

    @property
    def ended(self) -> bool:
        """Whether the packed file was read to its end, where its checksum is."""
        return self._inflate.eof

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._before + self._at

    def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes, fewer at the end."""
        # A header this large is an attempt to fill the memory.
        if not 0 <= size <= _CHUNK or len(self.frame) > 2 * _CHUNK:
            raise _wrong(self._path, f"entries of {_CHUNK:,} bytes at most at once", f"{size}")
        data = self._next(size)
        self.frame += data
        return data

    def seek(self, offset: int, _whence: int = 0) -> int:
        """Skip to `offset`, in the padding of the file before it."""
        if not self.tell() <= offset <= self.tell() + tarfile.BLOCKSIZE:
            raise _wrong(self._path, "entries in sequence", f"one at byte {offset}")
        self.read(offset - self.tell())
        return self.tell()

    def content(self, size: int) -> Iterator[bytes]:
        """Yield the next `size` bytes, the content of a file, fewer at the end."""
        while size > 0 and (data := self._next(min(size, _CHUNK))):
            size -= len(data)
            yield data

    def rest(self) -> bytes:
        """Return the first bytes after the packed file, b"" if there are none."""
        return self._inflate.unused_data or self._raw.read(1)

    def _next(self, size: int) -> bytes:
        while len(self._left) - self._at < size and not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._raw.read(_CHUNK)
            if not packed:
                break
            self._before += self._at
            self._left, self._at = self._left[self._at :] + self._inflate.decompress(packed, _CHUNK), 0
        found = self._left[self._at : self._at + size]
        self._at += len(found)
        return found


class BundleWrong(Problem):
    """The bundle can be read, but is not as it was written."""

    exit_code = ExitCode.FAILED


def verify_bundle(path: Path, sha256: str | None = None) -> Bundle:
    """Verify every byte of the bundle at `path`, and return its contents.

    `sha256` is the expected digest of the whole file, if known from elsewhere.

    Raises:
        BundleWrong: the file is no bundle, or is not as it was written.
        UsageProblem: there is no such file.
        Unverifiable: the file cannot be read.
    """
    try:
        with open_regular(path) as raw:
            digest = hashlib.file_digest(raw, "sha256").hexdigest()
            if sha256 is not None and digest != sha256.lower():
                raise _wrong(path, f"the SHA-256 {shortened(sha256, _SHOWN)}", digest)
            most = most_bytes(raw.tell())
            raw.seek(0)
            head = raw.read(len(_HEAD))
            if head[:3] != _HEAD[:3]:
                raise _wrong(path, "a packed file (gzip)", "another kind of file")
            if wrong := _wrong_head(head):
                raise _wrong(path, _NOTHING_ELSE, wrong)
            unpacked = _Unpacked(raw, path)
            # Its types want a file; what it uses is there.
            with tarfile.open(fileobj=unpacked, mode="r:") as archive:  # type: ignore[call-overload]
                manifest = _Check(path, archive, unpacked, most).manifest()
            if wrong := _wrong_end(unpacked):
                raise _wrong(path, _NOTHING_ELSE, wrong)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UsageProblem(
            what="bundle",
            expected="a file",
            observed="none" if isinstance(error, FileNotFoundError) else "a folder",
            source=str(path),
            hint=f"make one: {typed('bundle ID')}",
        ) from None
    except _NO_ARCHIVE as error:
        said = f"{type(error).__name__}: {error}".encode("unicode_escape").decode()
        raise _wrong(path, "a whole archive", shortened(said, 2 * _SHOWN)) from None
    except OSError as error:
        raise Unverifiable(
            what="bundle",
            expected="a file that can be read",
            observed=reason_of(error),
            source=str(path),
            hint="correct its permissions, or copy it to another disk",
        ) from None
    return Bundle(path, digest, manifest)


class _Check:
    """Reads the archive's members once, in order."""

    def __init__(self, path: Path, archive: tarfile.TarFile, unpacked: _Unpacked, most: int) -> None:
        self._path = path
        self._archive = archive
        self._unpacked = unpacked
        self._most = most
        self._seen: set[str] = set()
        self._last: tuple[str, int] = ("", 0)

    def manifest(self) -> Manifest:
        """Return the manifest, after checking that the archive holds exactly the files it lists."""
        first = self._archive.next()
        if first is None or PurePosixPath(first.name).name != MANIFEST:
            raise self._wrong(f"{MANIFEST} first", "nothing" if first is None else _shown(first.name))
        self._require_plain(first, first.name)
        manifest = self._sealed(first)
        if first.name != f"{manifest.incident}/{MANIFEST}":
            raise self._wrong(f"{manifest.incident}/{MANIFEST}", _shown(first.name))
        if len(manifest.files) > MOST_FILES or manifest.size > self._most:
            limits = f"{MOST_FILES:,} files and {self._most:,} bytes at most"
            raise self._wrong(limits, f"{len(manifest.files):,} and {manifest.size:,}")
        if same := alike(manifest.files):
            raise self._wrong("names that differ on every machine", f"{_shown(same)} twice, but for its case")
        held = {*manifest.files, *(name.partition("/")[0] for name in manifest.files)}
        for name in sorted(held & manifest.left_out.keys()):
            raise self._wrong(f"no {_shown(name)}, which it leaves out", "it")
        self._require_frame(manifest, MANIFEST, first.size)
        while (member := self._archive.next()) is not None:
            self._check(member, manifest)
            # It keeps them all.
            self._archive.members = []  # type: ignore[attr-defined]
        self._require_padding()
        if any(self._unpacked.frame):
            raise self._wrong(_NOTHING_ELSE, "something after the last file")
        missing = sorted(manifest.files.keys() - self._seen)
        if missing:
            raise self._wrong(
                f"{len(manifest.files)} files", f"{len(missing)} missing, such as {_shown(missing[0])}"
            )
        return manifest

    def _check(self, member: tarfile.TarInfo, manifest: Manifest) -> None:
        prefix = f"{manifest.incident}/"
        name = member.name.removeprefix(prefix)
        parts = PurePosixPath(member.name).parts
        if not member.name.startswith(prefix) or ".." in parts or "/".join(parts) != member.name:
            raise self._wrong(f"names below {prefix}", _shown(member.name))
        self._require_plain(member, name)
        if name in self._seen:
            raise self._wrong("each file once", f"{_shown(name)} twice")
        self._seen.add(name)
        held = manifest.files.get(name)
        if held is None:
            raise self._wrong("only what the manifest lists", f"{_shown(name)} too")
        if member.size != held.size:
            raise self._wrong(f"{_shown(name)} with {held.size:,} bytes", f"{member.size:,}")
        self._require_frame(manifest, name, member.size)
        digest = self._digest(member)
        if digest != held.sha256:
            raise self._wrong(f"{_shown(name)} with the SHA-256 {held.sha256}", digest)

    def _require_frame(self, manifest: Manifest, name: str, size: int) -> None:
        """Check the bytes since the last file: its padding, and a header as `write_bundle` writes it."""
        padding = self._require_padding()
        if self._unpacked.frame[padding:] != member_of(manifest, name, size).tobuf(tarfile.PAX_FORMAT):
            raise self._wrong(_NOTHING_ELSE, f"another header of {_shown(name)}")
        self._unpacked.frame, self._last = b"", (name, size)

    def _require_padding(self) -> int:
        name, size = self._last
        padding = -size % tarfile.BLOCKSIZE
        if any(self._unpacked.frame[:padding]):
            raise self._wrong(_NOTHING_ELSE, f"something in the padding after {_shown(name)}")
        return padding

    def _require_plain(self, member: tarfile.TarInfo, name: str) -> None:
        if member.type != tarfile.REGTYPE or member.issparse() or member.linkname:
            raise self._wrong("plain files only", f"{_shown(name)}, which is another kind of entry")
        if not member.pax_headers.keys() <= {"path", "size"} or self._archive.pax_headers:
            raise self._wrong("no further headers", f"some at {_shown(name)}")
        if (member.mode, member.uid, member.gid, member.mtime) != (MODE, 0, 0, 0):
            raise self._wrong("the mode, owner and time that every file has", f"others at {_shown(name)}")

    def _sealed(self, member: tarfile.TarInfo) -> Manifest:
        if not 0 <= member.size <= LARGEST_MANIFEST:
            raise self._wrong(f"a manifest of {LARGEST_MANIFEST:,} bytes at most", f"{member.size:,}")
        data = b"".join(self._unpacked.content(member.size))
        if sum(map(data.count, _SIGNS)) > _MOST_SIGNS:
            raise self._wrong(f"a manifest of {MOST_FILES:,} files at most", "more")
        try:
            value = strict_json(data)
            sealed = record_of(SealedManifest, value)
        except ValueError as error:
            # Names of the file are in the text: nothing of them may reach a terminal as it is.
            said = str(error).encode("unicode_escape").decode()
            raise self._wrong("a manifest", shortened(said, 4 * _SHOWN)) from None
        digest = hashlib.sha256(canonical_json(value["content"])).hexdigest()
        if sealed.sha256 != digest:
            raise self._wrong(f"a manifest with the SHA-256 {digest}", sealed.sha256)
        return sealed.content

    def _digest(self, member: tarfile.TarInfo) -> str:
        digest = hashlib.sha256()
        for data in self._unpacked.content(member.size):
            digest.update(data)
        return digest.hexdigest()

    def _wrong(self, expected: str, observed: str) -> BundleWrong:
        return _wrong(self._path, expected, observed)


def _wrong_end(unpacked: _Unpacked) -> str:
    """Return the deviation after the last file, which readers would ignore, or ""."""
    data = b"".join(unpacked.content(_CHUNK))
    if any(data) or len(data) == _CHUNK:
        return "something after the last file"
    if not unpacked.ended:
        return "an end that is cut off"
    return "something after the end of the packed file" if unpacked.rest() else ""


def _shown(name: str) -> str:
    return ascii(shortened(name, _SHOWN))


def _wrong(path: Path, expected: str, observed: str) -> BundleWrong:
    return BundleWrong(
        what="bundle",
        expected=expected,
        observed=observed,
        source=str(path),
        hint="do not use it: fetch it again, or have it bundled again from the incident",
    )
