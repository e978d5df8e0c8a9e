"""Files that a profile or a record names are read by one reader: regular files alone, and only so much."""

from __future__ import annotations

import ast
import os
import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from rollproof import reading
from rollproof.errors import TooLarge
from rollproof.profile.mistakes import ProfileProblem
from rollproof.profile.profile import load_target
from rollproof.reading import MOST_LINES, is_torn, lines_of, read_lined, read_regular
from rollproof.system.files import MOST_VALUES, json_value, strict_json
from tests.conftest import ROOT, write_profile
from tests.unit.house.test_one_place import PRODUCT

READ_ELSEWHERE: Mapping[str, str] = {
    "fixtures/gating/watchdog.py": "the kernel's account of a process",
    "rollproof/home.py": "this suite's own settings",
    "rollproof/stores/own_connections.py": "it asks whether a connection is open",
    "rollproof/system/clock.py": "the kernel's name of this boot",
    "rollproof/system/process.py": "the kernel's account of a process",
    "rollproof/profile/functions.py": "a file of the package itself",
    "reports/bundle/bundle.py": "files of an incident, each of the size and hash that were just taken",
    "reports/bundle/verify_record.py": "the checker in each bundle, which has to stand alone",
    "rollback_actions/containers/volumes.py": "the last bytes of an archive",
    "rollback_actions/session/journal.py": "what was added to a journal that was read before",
}
"""Modules that read a file by themselves, with the reason."""
MODE = re.compile(r"[rwaxbt+]+")
SIZE = 3 * 1024**3


def _reads(tree: ast.AST) -> Iterator[int]:
    """Yield the lines that read a file: by `Path`, by `open`, or all of one that was opened."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="read_text" | "read_bytes")):
                yield node.lineno
            case ast.Call(func=ast.Attribute(attr="open", value=value), args=args):
                if isinstance(value, ast.Name) and value.id in {"os", "tarfile", "gzip"}:
                    continue
                mode = args[0].value if args and isinstance(args[0], ast.Constant) else None
                if not args or (isinstance(mode, str) and MODE.fullmatch(mode) and "r" in mode):
                    yield node.lineno
            case ast.Call(func=ast.Name(id="open")):
                yield node.lineno
            case ast.With(items=items, body=body):
                names = {
                    item.optional_vars.id
                    for item in items
                    if isinstance(item.optional_vars, ast.Name)
                    and isinstance(item.context_expr, ast.Call)
                    and getattr(item.context_expr.func, "id", "") == "open_regular"
                }
                yield from (node.lineno for part in body for one in ast.walk(part) if _reads_all(one, names))
            case _:
                pass


def _reads_all(node: ast.AST, names: set[str]) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="read"), args=[]):
            return name in names
    return False


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for room in PRODUCT:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def test_files_are_read_in_one_place() -> None:
    """Who is named here says why; who reads none any more is named no longer."""
    found = {name: lines for name, tree in _modules() if (lines := list(_reads(tree)))}
    assert {*found} == {*READ_ELSEWHERE}, found


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("Path('x').read_text()", True),
        ("path.open('rb')", True),
        ("path.open()", True),
        ("open(path)", True),
        ("with open_regular(path) as stream:\n    stream.read()", True),
        ("with open_regular(path) as stream:\n    stream.read(9)", False),
        ("path.open('w')", False),
        ("read_regular(path)", False),
    ],
)
def test_what_reads_is_seen(text: str, reads: bool) -> None:  # noqa: FBT001 - of a table
    assert bool(list(_reads(ast.parse(text)))) is reads


def test_a_sparse_file_of_terabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(SIZE)
    with pytest.raises(TooLarge, match="3,072 MiB, more than the 64 MiB that are read") as raised:
        read_regular(path)
    again = pickle.loads(pickle.dumps(raised.value))  # noqa: S301 - our own
    assert (str(again), again.at_most) == (str(raised.value), "at most 64 MiB")
    with pytest.raises(TooLarge, match="more than the 1 KiB that are read"):
        read_regular(path, 1024)


def test_a_file_that_grows_while_it_is_read_has_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size says little, as that of a file of the kernel."""
    path = tmp_path / "one"
    path.write_bytes(bytes(20))
    true = os.fstat
    monkeypatch.setattr(
        "rollproof.reading.os.fstat",
        lambda number: os.stat_result([*true(number)[:6], 0, *true(number)[7:10]]),
    )
    with pytest.raises(TooLarge, match="more than the 10 bytes that are read"):
        read_regular(path, 10)


def test_what_calls_itself_regular_and_is_not_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As /proc/kmsg: it is a regular file by its kind, and has nothing to read until the kernel says more."""
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(reading, "_require_regular", lambda *_: None)
    writer = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        with pytest.raises(OSError, match="Not a regular file"):
            read_regular(tmp_path / "pipe")
    finally:
        os.close(writer)


def test_lines_are_read_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"a\n\nb\nto")
    assert list(lines_of(path)) == [b"a", b"", b"b"]
    assert is_torn(path)
    path.write_bytes(b"a\n" + b"x" * 100)
    found = lines_of(path, 10)
    assert next(found) == b"a"
    with pytest.raises(TooLarge, match="a line of more than the 10 bytes that are read"):
        next(found)
    path.write_bytes(b"")
    assert not list(lines_of(path))
    assert not is_torn(path)


def test_of_a_long_file_of_lines_the_beginning_is_read(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"one\n" * 5)
    found = lines_of(path, most=12)
    assert [next(found) for _ in range(3)] == [b"one"] * 3
    with pytest.raises(TooLarge, match="20 bytes, more than the 12 bytes that are read"):
        next(found)


@pytest.mark.parametrize("end", [b"\n", b"\r"])
def test_a_file_of_lines_has_so_many(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "lines"
    path.write_bytes(end * MOST_LINES)
    assert len(read_lined(path)) == MOST_LINES
    path.write_bytes(end * (MOST_LINES + 1))
    with pytest.raises(TooLarge, match="100,001 lines, more than the 100,000 that are read") as raised:
        read_lined(path)
    assert raised.value.at_most == "at most 100,000 lines"


@pytest.mark.parametrize("part", [b"[],", b"{},", b"1,,"])
def test_json_that_may_hold_too_many_values_is_not_made(part: bytes) -> None:
    text = b"[" + part * (MOST_VALUES // 2) + b"[]]"
    with pytest.raises(ValueError, match="more than 1,000,000 values"):
        json_value(text)
    with pytest.raises(ValueError, match="more than 1,000,000 values"):
        strict_json(text)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(SIZE)


KINDS: dict[str, Callable[[Path], None]] = {
    "pipe": _pipe,
    "endless": _endless,
    "folder": Path.mkdir,
    "sparse": _sparse,
}
# What is replaced in a profile, and by what.
NAMED = {
    "password": ('password = {file = "canary_password"}', 'password = {file = "it"}'),
    "ca": ("port = 9}", 'port = 9, tls = true, ca = "it"}'),
    "upload": ("[application.canary]", '[application.canary]\nupload = "it"'),
    "compose file": ('kind = "compose"', 'kind = "compose"\nfiles = ["it"]'),
}


@pytest.mark.parametrize("kind", ["pipe", "folder"])
@pytest.mark.parametrize("named", NAMED)
def test_what_a_profile_names_is_a_file(tmp_path: Path, named: str, kind: str) -> None:
    KINDS[kind](tmp_path / "it")
    with pytest.raises(ProfileProblem) as raised:
        load_target(_naming(tmp_path, named))
    line, *_ = str(raised.value).splitlines()
    assert re.search("a regular file|Not a regular file|Is a directory", line)
    assert str(tmp_path / "it") in line


def test_a_secret_is_no_large_file(tmp_path: Path) -> None:
    _sparse(tmp_path / "it")
    with pytest.raises(
        ProfileProblem,
        match="expected at most 64 KiB, observed 3,072 MiB, more than the 64 KiB that are read",
    ):
        load_target(_naming(tmp_path, "password"))


def _naming(folder: Path, named: str) -> Path:
    old, new = NAMED[named]
    path = write_profile(folder)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path
