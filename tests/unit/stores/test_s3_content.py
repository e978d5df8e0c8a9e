"""The pure parts of the reader of S3, and of its export."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast
from xml.etree import ElementTree as ET

import pytest
from minio.error import InvalidResponseError, S3Error, ServerError
from pydantic import SecretStr
from urllib3 import BaseHTTPResponse
from urllib3.connectionpool import ConnectionPool
from urllib3.exceptions import MaxRetryError

from rollproof.engines.engine import Endpoint
from rollproof.errors import Unverifiable
from rollproof.profile.sections import Account
from rollproof.stores.reach import Reach
from rollproof.stores.s3.client import S3, plain
from rollproof.stores.s3.objects import StoredObject, expires_at, link
from rollproof.stores.s3.reader import hashes

READER = Account(user="reader", password=SecretStr("correct-horse"))
REACH = Reach("minio", Endpoint("127.0.0.1", 9), READER, 5.0)


KEY = "files/anna@example.org.pdf"


def _said(error: Exception) -> str:
    with pytest.raises(Unverifiable) as raised, S3(REACH, "here").asked():
        raise error
    return str(raised.value)


@pytest.mark.parametrize("bucket", ["files", None])
def test_an_error_of_the_server_names_the_bucket_and_no_key(bucket: str | None) -> None:
    words = f"no {KEY} for reader"
    response = cast("BaseHTTPResponse", None)
    error = S3Error(response, "AccessDenied", words, f"/files/{KEY}", "1", "2", bucket, KEY)

    said = _said(error)

    assert "observed AccessDenied of bucket files (from 127.0.0.1:9)" in said
    assert "anna" not in said


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (InvalidResponseError(502, "text/html", f"cannot GET /files/{KEY}"), "Response code: 502"),
        (MaxRetryError(cast("ConnectionPool", None), f"/files/{KEY}", OSError("refused")), "refused"),
        (ServerError("server failed with HTTP status code 500", 500), "HTTP status code 500"),
    ],
)
def test_an_answer_that_is_none_is_told_without_what_was_asked_for(error: Exception, kept: str) -> None:
    said = _said(error)

    assert kept in said
    assert "anna" not in said


def test_the_server_says_when_an_object_goes() -> None:
    assert expires_at('expiry-date="Fri, 23 Dec 2012 00:00:00 GMT", rule-id="old files"') == 1356220800.0
    assert expires_at("") is None


def test_settings_do_not_depend_on_the_order_of_rules() -> None:
    first, second, third = (
        plain(ET.fromstring(f'<L xmlns="http://s3/">{rules}</L>'))  # noqa: S314 - written here
        for rules in (
            "<Rule><ID>a</ID><Days>1</Days></Rule><Rule><ID>b</ID></Rule>",
            "<Rule><ID>b</ID></Rule> <Rule><Days> 1 </Days><ID>a</ID></Rule>",
            "<Rule><ID>b</ID><Days>1</Days></Rule><Rule><ID>a</ID></Rule>",
        )
    )
    assert first == second == {"Rule": [{"Days": ["1"], "ID": ["a"]}, {"ID": ["b"]}]}
    assert first != third


def test_a_content_is_copied_where_no_link_leads(tmp_path: Path) -> None:
    """A backup and its safety copy may lie on two file systems."""
    content = tmp_path / "content"
    content.write_bytes(b"lamp")
    with TemporaryDirectory(dir="/dev/shm") as elsewhere:
        for place in (tmp_path / "place", Path(elsewhere) / "place", Path(elsewhere) / "place"):
            link(content, place)
            assert place.read_bytes() == b"lamp"
        assert (Path(elsewhere) / "place").stat().st_dev != content.stat().st_dev


FOUND = StoredObject("b", "key", None, "", 4, "0102", {"content-type": "text/plain"}, {"a": "b"})


def test_a_reader_that_is_not_told_of_tags_has_another_hash() -> None:
    nothing: frozenset[str] = frozenset()
    untold = replace(FOUND, tags={})
    assert hashes(FOUND, nothing) == {FOUND.record(nothing).hash, untold.record(nothing).hash}
    assert len(hashes(FOUND, nothing)) == 2
    assert len(hashes(FOUND, frozenset({"tags"}))) == len(hashes(untold, nothing)) == 1
