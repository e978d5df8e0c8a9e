"""Whether a bundle is what was written: every file by its hash, nothing missing, added or changed.

Nothing is unpacked. Whoever made the file may mean harm: what it says of sizes is bounded before it is read.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from pydantic import ValidationError

from fixtures.errors import ExitCode, Problem, Unverifiable, UsageProblem
from fixtures.files import canonical_json, open_regular, strict_json
from rollback_actions.bundle import MANIFEST, MODE, Bundle, Manifest
from rollback_actions.bundle_frame import wrong_frame

# An incident is some megabytes; with the records of a large window it may be more.
MOST_BYTES = 64 * 1024**3
MOST_FILES = 200_000
_LARGEST_MANIFEST = 64 * 1024**2
_CHUNK = 1024 * 1024


# What readers of archives raise for what is none.
_NO_ARCHIVE = (
    gzip.BadGzipFile,
    EOFError,
    zlib.error,
    tarfile.TarError,
    ValueError,
    OverflowError,
    RecursionError,
)


class BundleWrong(Problem):
    """A bundle that was read, and is not what was written."""

    exit_code = ExitCode.FAILED


def verify_bundle(path: Path, sha256: str | None = None) -> Bundle:
    """Return what the bundle at `path` holds, every byte of it verified.

    `sha256` is what the whole file is to have, where that is known from elsewhere.

    Raises:
        BundleWrong: it is no bundle, or not what was written. UsageProblem: there is no such file.
        Unverifiable: it cannot be read.
    """
    try:
        with open_regular(path) as raw:
            digest = hashlib.file_digest(raw, "sha256").hexdigest()
            if sha256 is not None and digest != sha256.lower():
                raise _wrong(path, f"the SHA-256 {sha256}", digest)
            raw.seek(0)
            with _Bounded(raw, path) as bounded:
                with tarfile.open(fileobj=bounded, mode="r:") as archive:
                    check = _Check(path, archive)
                    manifest = check.manifest()
                _require_end(bounded, path)
            if wrong := wrong_frame(raw, manifest, check.members):
                raise _wrong(path, "nothing but the files", wrong)
    except FileNotFoundError:
        raise UsageProblem(
            what="bundle",
            expected="a file",
            observed="none",
            source=str(path),
            hint="python -m rollback_actions bundle ID makes one",
        ) from None
    except _NO_ARCHIVE as error:
        raise _wrong(path, "a whole archive", f"{type(error).__name__}: {error}") from None
    except OSError as error:
        raise Unverifiable(
            what="bundle",
            expected="a file that can be read",
            observed=error.strerror or type(error).__name__,
            source=str(path),
            hint="correct its permissions, or copy it to another disk",
        ) from None
    return Bundle(path, digest, manifest)


class _Check:
    """Reads the members of an archive once, in their order."""

    def __init__(self, path: Path, archive: tarfile.TarFile) -> None:
        self._path = path
        self._archive = archive
        self._seen: set[str] = set()
        self.members: list[tuple[str, int]] = []

    def manifest(self) -> Manifest:
        """Return the manifest, once all that it lists is there and nothing else."""
        first = self._archive.next()
        if first is None or PurePosixPath(first.name).name != MANIFEST:
            raise self._wrong(f"{MANIFEST} first", "nothing" if first is None else ascii(first.name))
        self._require_plain(first, first.name)
        manifest = self._sealed(first)
        if first.name != f"{manifest.incident}/{MANIFEST}":
            raise self._wrong(f"{manifest.incident}/{MANIFEST}", ascii(first.name))
        if len(manifest.files) > MOST_FILES or manifest.size > MOST_BYTES:
            limits = f"{MOST_FILES:,} files and {MOST_BYTES:,} bytes at most"
            raise self._wrong(limits, f"{len(manifest.files):,} and {manifest.size:,}")
        self.members.append((MANIFEST, first.size))
        while (member := self._archive.next()) is not None:
            self._check(member, manifest)
        missing = sorted(manifest.files.keys() - self._seen)
        if missing:
            raise self._wrong(f"{len(manifest.files)} files", f"{len(missing)} missing, such as {missing[0]}")
        return manifest

    def _check(self, member: tarfile.TarInfo, manifest: Manifest) -> None:
        prefix = f"{manifest.incident}/"
        name = member.name.removeprefix(prefix)
        parts = PurePosixPath(member.name).parts
        if not member.name.startswith(prefix) or ".." in parts or "/".join(parts) != member.name:
            raise self._wrong(f"names below {prefix}", ascii(member.name))
        self._require_plain(member, name)
        if name in self._seen:
            raise self._wrong("each file once", f"{name} twice")
        self._seen.add(name)
        self.members.append((name, member.size))
        held = manifest.files.get(name)
        if held is None:
            raise self._wrong("only what the manifest lists", f"{name!a} too")
        if member.size != held.size:
            raise self._wrong(f"{name} with {held.size:,} bytes", f"{member.size:,}")
        digest = self._digest(member)
        if digest != held.sha256:
            raise self._wrong(f"{name} with the SHA-256 {held.sha256}", digest)

    def _require_plain(self, member: tarfile.TarInfo, name: str) -> None:
        if member.type != tarfile.REGTYPE or member.issparse() or member.linkname:
            raise self._wrong("plain files only", f"{name!a}, which is another kind of entry")
        if not member.pax_headers.keys() <= {"path", "size"} or self._archive.pax_headers:
            raise self._wrong("no further headers", f"some at {name!a}")
        if (member.mode, member.uid, member.gid, member.mtime) != (MODE, 0, 0, 0):
            raise self._wrong("the mode, owner and time that every file has", f"others at {name!a}")

    def _sealed(self, member: tarfile.TarInfo) -> Manifest:
        if member.size > _LARGEST_MANIFEST:
            raise self._wrong(f"a manifest of {_LARGEST_MANIFEST:,} bytes at most", f"{member.size:,}")
        try:
            sealed = strict_json(b"".join(_chunks(self._stream(member))))
            content = sealed["content"]
            digest = hashlib.sha256(canonical_json(content)).hexdigest()
            if sealed.keys() != {"content", "sha256"} or sealed["sha256"] != digest:
                raise self._wrong(f"a manifest with the SHA-256 {digest}", ascii(sealed["sha256"])[:80])
            return Manifest.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise self._wrong("a manifest", f"{where!a}: {first['msg']}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._wrong("a manifest", f"{type(error).__name__}: {error}") from None

    def _digest(self, member: tarfile.TarInfo) -> str:
        digest = hashlib.sha256()
        for data in _chunks(self._stream(member)):
            digest.update(data)
        return digest.hexdigest()

    def _stream(self, member: tarfile.TarInfo) -> IO[bytes]:
        stream = self._archive.extractfile(member)
        if stream is None:
            raise self._wrong("plain files only", ascii(member.name))
        return stream

    def _wrong(self, expected: str, observed: str) -> BundleWrong:
        return _wrong(self._path, expected, observed)


class _Bounded(gzip.GzipFile):
    """The unpacked bytes of a bundle, of which nobody asks for more at once than memory should hold."""

    def __init__(self, raw: BinaryIO, path: Path) -> None:
        super().__init__(fileobj=raw, mode="rb")
        self._path = path

    def read(self, size: int | None = -1) -> bytes:
        # Headers that are as large as this are there to fill the memory.
        if size is None or not 0 <= size <= _LARGEST_MANIFEST:
            raise _wrong(self._path, f"entries of {_LARGEST_MANIFEST:,} bytes at most at once", f"{size}")
        return super().read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        if not 0 <= offset <= 2 * MOST_BYTES:
            raise _wrong(self._path, f"{MOST_BYTES:,} bytes at most", f"{offset:,}")
        return super().seek(offset, whence)


def _require_end(bounded: _Bounded, path: Path) -> None:
    """See that nothing comes after the archive: what a reader of it would not see."""
    left = _CHUNK
    while data := bounded.read(_CHUNK):
        left -= len(data)
        if any(data) or left < 0:
            raise _wrong(path, "nothing after the last file", "something")


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while data := stream.read(_CHUNK):
        yield data


def _wrong(path: Path, expected: str, observed: str) -> BundleWrong:
    return BundleWrong(
        what="bundle",
        expected=expected,
        observed=observed,
        source=str(path),
        hint="do not use it: fetch it again, or have it bundled again from the incident",
    )
