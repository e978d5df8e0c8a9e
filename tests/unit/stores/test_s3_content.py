"""The pure parts of the reader of S3, and of its export."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree as ET

import pytest
from minio.datatypes import Object
from minio.error import InvalidResponseError, S3Error, ServerError
from pydantic import SecretStr
from urllib3 import BaseHTTPResponse
from urllib3.connectionpool import ConnectionPool
from urllib3.exceptions import MaxRetryError

from rollproof.engines.engine import Endpoint
from rollproof.errors import Unverifiable
from rollproof.profile.sections import Account
from rollproof.stores.reach import Reach
from rollproof.stores.s3 import objects as s3_objects
from rollproof.stores.s3.client import S3
from rollproof.stores.s3.objects import StoredObject, expires_at, link, read_object
from rollproof.stores.s3.reader import hashes, version_record
from rollproof.stores.s3.settings import plain

READER = Account(user="reader", password=SecretStr("correct-horse"))
REACH = Reach("minio", Endpoint("127.0.0.1", 9), READER, 5.0)


def _listed(
    key: str = "k", version: str = "v", size: int = 3, etag: str = "e", *, deleted: bool = False
) -> Object:
    return Object("b", key, version_id=version, size=size, etag=etag, is_delete_marker=deleted)


def test_versions_differ_by_all_that_is_listed() -> None:
    base = _listed()
    others = [
        _listed(key="K"),
        _listed(version="w"),
        _listed(key="kv", version=""),
        _listed(size=4),
        _listed(etag="f"),
        _listed(deleted=True),
    ]
    assert len({version_record(item, frozenset()).hash for item in [base, *others]}) == 7
    blind = version_record(base, frozenset({"etag"}))
    assert blind == version_record(others[4], frozenset({"etag"}))
    assert blind.fields.keys() == {"size", "delete_marker"}


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


class _Response:
    """An object as the server stores it."""

    headers = {"Content-Encoding": "gzip"}  # noqa: RUF012 - nobody changes it

    def stream(self, _: int, *, decode_content: bool) -> Iterator[bytes]:
        assert not decode_content
        yield from (b"ab", b"cd", b"e")

    def release_conn(self) -> None:
        """Nothing is pooled."""

    close = release_conn


def test_an_object_is_read_as_it_is_stored_and_each_stretch_has_a_deadline_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(s3_objects, "STRETCH_BYTES", 4)
    begun, asked, sink = list[int](), list[int](), io.BytesIO()

    def start() -> SimpleNamespace:
        begun.append(1)
        return SimpleNamespace(left=lambda: asked.append(1))

    client: Any = SimpleNamespace(get_object=lambda *_, **__: _Response())
    found = read_object(client, cast("Reach", SimpleNamespace(start=start)), "b", "k", None, sink)
    content = hashlib.sha256(b"abcde").hexdigest()
    assert (found.headers, found.size, found.sha256) == ({"content-encoding": "gzip"}, 5, content)
    assert (sink.getvalue(), len(begun), len(asked)) == (b"abcde", 2, 3)


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
