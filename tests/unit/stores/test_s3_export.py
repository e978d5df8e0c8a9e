"""The pure parts of the export of S3 objects."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace

import pytest

from rollproof.stores.s3.content import ReadObject
from rollproof.stores.s3.export import delete_command, hashes, put_command

FOUND = ReadObject("key", {"content-type": "text/plain"}, 4, b"\x01\x02", {"a": "b"})


@pytest.mark.parametrize(
    "key", ["file:///etc/passwd", "-rf", "a\nb", "a\r\u2028b", 'it\'s "$(id)" `id`', "ü 😀"]
)
def test_any_key_is_one_line_and_nothing_but_a_key(key: str) -> None:
    for line in (put_command("files", replace(FOUND, key=key)), delete_command("files", key)):
        assert line.isascii()
        assert len(line.splitlines()) == 1
        words = shlex.split(line)
        assert words[:2] == ["aws", "s3api"]
        assert words[-2] == "--cli-input-json"
        request = json.loads(words[-1])
        assert (request["Bucket"], request["Key"]) == ("files", key)


@pytest.mark.parametrize(
    ("expires", "given"),
    [("Thu, 01 Dec 2050 16:00:00 GMT", True), ("0", False), ("-1", False), ("soon", False)],
)
def test_a_time_that_the_command_line_would_refuse_is_not_given_to_it(expires: str, *, given: bool) -> None:
    found = replace(FOUND, headers={"expires": expires})
    assert ("Expires" in put_command("files", found)) == given


def test_a_reader_that_is_not_told_of_tags_has_another_hash() -> None:
    nothing: frozenset[str] = frozenset()
    untold = replace(FOUND, tags={})
    assert hashes(FOUND, nothing) == {FOUND.record(nothing).hash, untold.record(nothing).hash}
    assert len(hashes(FOUND, nothing)) == 2
    assert len(hashes(FOUND, frozenset({"tags"}))) == len(hashes(untold, nothing)) == 1
