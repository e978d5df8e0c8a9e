"""Nothing is hidden in a bundle around its files, where no reader of archives looks."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from reports.bundle.bundle_check import _CHUNK, BundleWrong, _Unpacked, verify_bundle
from rollproof.errors import ExitCode
from tests.unit.record.test_bundle import Command, clock, made, packed, run

__all__ = ["clock", "made", "run"]


def _padded(tar: bytes) -> bytes:
    """Write into the padding after the first file, which is the manifest."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        first = archive.getmembers()[0]
    end = first.offset_data + first.size
    assert end % tarfile.BLOCKSIZE, "the manifest has no padding"
    return tar[:end] + b"!" + tar[end + 1 :]


def _named(tar: bytes) -> bytes:
    """Write an owner's name into the first header, and its sum anew."""
    header = tar[:148] + b" " * 8 + tar[156:265] + b"hidden" + tar[271:512]
    return header[:148] + b"%06o\0 " % sum(header) + header[156:] + tar[512:]


def _behind(tar: bytes) -> bytes:
    """Write a block after the last file that is no header: readers take it for the end."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        last = archive.getmembers()[-1]
    end = last.offset_data + -(-last.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    return tar[:end] + b"!" * tarfile.BLOCKSIZE + tar[end + tarfile.BLOCKSIZE :]


HIDDEN: dict[str, Callable[[bytes], bytes]] = {
    "comment": lambda data: data[:3] + b"\x10" + data[4:10] + b"hidden\0" + data[10:],
    "system": lambda data: data[:9] + b"\3" + data[10:],
    "time": lambda data: data[:4] + b"\1" + data[5:],
    "an empty file after it": lambda data: data + packed(b""),
    "zeros after it": lambda data: data + b"\0" * 512,
    "padding": lambda data: packed(_padded(gzip.decompress(data))),
    "a block after the last file": lambda data: packed(_behind(gzip.decompress(data))),
    "owner": lambda data: packed(_named(gzip.decompress(data))),
}


@pytest.mark.parametrize("hide", HIDDEN.values(), ids=HIDDEN.keys())
@pytest.mark.usefixtures("made")
def test_nothing_is_hidden_around_the_files(run: Command, hide: Callable[[bytes], bytes]) -> None:
    run("bundle", "one")
    path = Path("one.tar.gz")
    path.write_bytes(hide(path.read_bytes()))

    assert "expected nothing but the files" in run("verify-bundle", path, code=ExitCode.FAILED)


def test_what_is_no_bundle_at_all_is_named(run: Command) -> None:
    Path("notes.txt").write_text("notes", encoding="utf-8")
    said = run("verify-bundle", "notes.txt", code=ExitCode.FAILED)
    assert "expected a packed file (gzip), observed another kind of file" in said
    Path("folder").mkdir()
    assert "expected a file, observed a folder" in run("verify-bundle", "folder", code=ExitCode.USAGE)


@pytest.mark.usefixtures("made")
def test_a_bundle_is_unpacked_once(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    run("bundle", "one")
    path, unpacked = Path("one.tar.gz"), list[int]()
    size, inflate = len(gzip.decompress(path.read_bytes())), zlib.decompressobj

    class Counted:
        def __init__(self, bits: int) -> None:
            self.inflate = inflate(bits)

        def __getattr__(self, name: str) -> object:
            return getattr(self.inflate, name)

        def decompress(self, packed: bytes, most: int) -> bytes:
            data = self.inflate.decompress(packed, most)
            unpacked.append(len(data))
            return data

    monkeypatch.setattr(zlib, "decompressobj", Counted)
    verify_bundle(path)
    assert sum(unpacked) == size


def test_headers_in_a_row_do_not_fill_the_memory() -> None:
    unpacked = _Unpacked(io.BytesIO(gzip.compress(bytes(5 * _CHUNK))), Path("a.tar.gz"))
    for _ in range(3):
        unpacked.read(_CHUNK)
    with pytest.raises(BundleWrong, match="bytes at most at once"):
        unpacked.read(_CHUNK)
