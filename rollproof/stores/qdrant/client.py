"""Qdrant, read side, over its REST interface.

Requests bypass Qdrant's own client, which takes 2.5 s to import and cannot stream a snapshot.
"""

from __future__ import annotations

import hashlib
import logging
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any
from urllib.parse import quote

import httpx2
import orjson

from rollproof.errors import Meaning, Unverifiable, unanswered
from rollproof.profile.data_formats import Marks
from rollproof.stores.policy import chosen
from rollproof.stores.qdrant.descriptor import QdrantProfile
from rollproof.stores.reach import Reach, Readable
from rollproof.stores.vectors import Metric
from rollproof.system.http import Cutoff

# Statuses of a collection that answers. With the status "red" it fails, at least for some points.
SERVING = frozenset({"green", "yellow", "grey"})
# Every other distance is one by its name too: Euclid and Manhattan.
METRICS = {"Cosine": Metric.COSINE, "Dot": Metric.INNER_PRODUCT}
# Characters of an unexpected answer that are worth reading.
LONGEST_REASON = 300
# Names read at a time when references are followed.
NAMES = 1000

# The library logs every request; reports already show the important ones.
logging.getLogger("httpx2").setLevel(logging.WARNING)


class Rest:
    """Qdrant's REST interface with one key. Every call ends by its deadline, whatever the server does."""

    def __init__(self, reach: Reach) -> None:
        """Keep the server's address; nothing stays open between calls."""
        self.reach = reach

    def call(self, method: str, path: str, body: Any = None, *, deadline: float | None = None) -> Any:  # noqa: ANN401 - JSON
        """Return the `result` of a call; raises `Unverifiable`. `deadline` in seconds replaces the usual."""
        return self._parsed(method, path, deadline, {"json": body})["result"]

    def status(self, method: str, path: str, body: Any) -> int:  # noqa: ANN401 - JSON
        """Return the HTTP status of a call that may be refused."""
        with self._opened(method, path, None, {"json": body}, any_status=True) as response:
            return response.status_code

    def version(self) -> str:
        """Return the server's version in its own words."""
        return str(self._parsed("GET", "/", None, {})["version"])

    def collections(self, patterns: Iterable[str]) -> list[str]:
        """Return the names of the collections that match shell-style `patterns`, sorted."""
        found = self.call("GET", "/collections")["collections"]
        return chosen((each["name"] for each in found), patterns)

    def count(self, collection: str) -> int:
        """Return the exact number of points."""
        return int(self.call("POST", f"{path_of(collection)}/points/count", {"exact": True})["count"])

    def aliases(self) -> dict[str, str]:
        """Return the collection of every alias, sorted by alias."""
        found = self.call("GET", "/aliases")["aliases"]
        return dict(sorted((each["alias_name"], each["collection_name"]) for each in found))

    def described(self, collection: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a collection's configuration, and its payload indexes without their progress."""
        info = self.call("GET", path_of(collection))
        indexes = {
            field: {name: value for name, value in index.items() if name != "points"}
            for field, index in (info.get("payload_schema") or {}).items()
        }
        return info["config"], indexes

    def dense_vectors(self, collection: str) -> dict[str, Any]:
        """Return the settings of the dense vectors by name, which is "" for one without a name."""
        config, _ = self.described(collection)
        vectors: dict[str, Any] = config["params"].get("vectors") or {}
        # A number: a vector may be called size.
        return {"": vectors} if isinstance(vectors.get("size"), int) else vectors

    def scrolled(self, collection: str, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the points that `request` selects, in the order of their ids, one answer after the other."""
        offset: dict[str, Any] = {}
        while True:
            block = self.call("POST", f"{path_of(collection)}/points/scroll", {**request, **offset})
            yield from block["points"]
            if block["next_page_offset"] is None:
                return
            offset = {"offset": block["next_page_offset"]}

    def download(self, path: str, file: IO[bytes], deadline: float) -> str:
        """Write the content at `path` into `file`; return its SHA-256 in hexadecimal."""
        digest = hashlib.sha256()
        with self._opened("GET", path, deadline, {}) as response:
            for chunk in response.iter_bytes():
                file.write(chunk)
                digest.update(chunk)
        return digest.hexdigest()

    def upload(self, path: str, field: str, file: IO[bytes], deadline: float) -> None:
        """Send `file` as the form field `field`, streamed."""
        self._parsed("POST", path, deadline, {"files": {field: ("upload.snapshot", file)}})

    def _parsed(self, method: str, path: str, deadline: float | None, content: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        with self._opened(method, path, deadline, content) as response:
            try:
                # Points are mostly numbers, which this parses five times as fast as the standard library.
                return orjson.loads(response.read())
            except ValueError:
                raise self.reach.failed("no JSON", expected=f"JSON from {method} {path}") from None

    @contextmanager
    def _opened(
        self,
        method: str,
        path: str,
        deadline: float | None,
        content: dict[str, Any],
        *,
        any_status: bool = False,
    ) -> Iterator[httpx2.Response]:
        seconds = deadline or self.reach.deadline
        key = self.reach.account.password.get_secret_value()
        with Cutoff(seconds) as cutoff:
            try:
                # No proxy may answer in the store's place.
                with (
                    httpx2.Client(verify=self._trusted(), trust_env=False, timeout=seconds) as client,
                    client.stream(
                        method,
                        self.reach.url + path,
                        headers={"Connection": "close", **({"api-key": key} if key else {})},
                        extensions={"trace": cutoff.trace},
                        **content,
                    ) as response,
                ):
                    if not (response.is_success or any_status):
                        response.read()
                        raise self._refused(method, path, response)
                    yield response
            except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
                late = f"none after {seconds:g} s" if cutoff.passed else f"{type(error).__name__}: {error}"
                raise self.reach.failed(
                    late,
                    expected=f"an answer to {method} {path} within {seconds:g} s",
                    means=Meaning.TIMEOUT if cutoff.passed else unanswered(error),
                ) from None

    def _refused(self, method: str, path: str, response: httpx2.Response) -> Unverifiable:
        try:
            reason = str(orjson.loads(response.content)["status"]["error"])
        except (ValueError, KeyError, TypeError):
            reason = response.text
        return self.reach.failed(
            f"HTTP {response.status_code}: {reason[:LONGEST_REASON]}",
            expected=f"success of {method} {path}",
            hint="401 and 403: see the key in the profile; 404: see the collection; else see Qdrant's log",
        )

    def _trusted(self) -> ssl.SSLContext | bool:
        if not self.reach.endpoint.tls:
            return False
        return ssl.create_default_context(cafile=self.reach.endpoint.ca)


def marks(readable: Readable[QdrantProfile]) -> Marks:
    """Return the marks of the server's format. See `Descriptor.marks`."""
    return {"server": Rest(readable.reach).version()}


def path_of(collection: str) -> str:
    """Return the path of a collection."""
    return f"/collections/{quote(collection, safe='')}"
