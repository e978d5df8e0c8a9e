"""A disk that fills up, by a limit for the size of a file: what was written stays whole, and can go on."""

from __future__ import annotations

import errno
import json
import resource
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from rollback_actions.session.journal import Journal
from rollproof.errors import ActionFailed, no_space
from rollproof.incident.journal import verify_journal
from rollproof.system.files import LineWriter, complete_lines, write_whole


@contextmanager
def limited(size: int) -> Iterator[None]:
    """Let no file grow beyond `size` bytes in the body."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 1, 50, 99, 100, 101, 160])
@pytest.mark.parametrize("synced", [True, False])
def test_no_line_is_torn_and_the_next_one_finds_its_place(tmp_path: Path, size: int, *, synced: bool) -> None:
    path = tmp_path / "lines"
    written = []
    with closing(LineWriter(path, synced=synced)) as writer:

        def fill() -> None:
            for number in range(100):
                writer.append({"number": number, "text": "x" * 20})
                written.append(number)

        with limited(size), pytest.raises(OSError, match="too large") as full:
            fill()
        assert full.value.filename == str(path)
        assert no_space(full.value) is full.value
        lines = complete_lines(path.read_bytes()).splitlines()
        assert [json.loads(line)["number"] for line in lines] == written
        writer.append({"number": -1})
    assert [json.loads(line)["number"] for line in path.read_text().splitlines()] == [*written, -1]


def test_a_file_keeps_its_old_content_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    with limited(10), pytest.raises(OSError, match="too large") as full:
        write_whole(path, b"new" * 10)
    assert full.value.errno == errno.EFBIG
    assert full.value.filename == str(path)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


def test_a_journal_says_that_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", str)
    journal.write("one")
    with limited(300), pytest.raises(ActionFailed) as full:
        journal.write("two", text="x" * 300)
    assert no_space(full.value) is not None
    journal.write("three")
    records = verify_journal(tmp_path / "journal.jsonl")
    assert [record["event"] for record in records] == ["one", "three"]
