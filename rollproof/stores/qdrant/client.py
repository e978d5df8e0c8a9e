"""Qdrant, read side, by its own client over REST."""

from __future__ import annotations

import hashlib
import logging
import ssl
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import ceil
from typing import IO, Any, ClassVar
from urllib.parse import quote

import httpx2
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from rollproof.errors import unanswered
from rollproof.stores.client import Client
from rollproof.stores.policy import chosen
from rollproof.system.http import Cutoff

# Characters of an unexpected answer that are worth reading.
_LONGEST_REASON = 300

# The libraries log every request; reports already show the important ones.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpx2").setLevel(logging.WARNING)


class Rest(Client[QdrantClient]):
    """Qdrant's REST interface with one key. Every call ends by its deadline."""

    # The last two: an answer that is no JSON, or another than Qdrant's.
    errors: ClassVar = (ApiException, QdrantException, ValueError, KeyError)

    def connect(self) -> QdrantClient:
        """Return the client; it makes a connection for each request."""
        client = QdrantClient(
            url=self.reach.url,
            headers={"Connection": "close", **self._key()},
            timeout=ceil(self.reach.deadline),
            # It would ask the server in a thread of its own, and warn.
            check_compatibility=False,
            verify=self._trusted(),
            # No proxy may answer in the store's place.
            trust_env=False,
        )
        client.http.client.add_middleware(self._limited)
        return client

    def words(self, error: Exception) -> str:
        """Return the server's words, or the kind of failure with the client's."""
        if not isinstance(error, UnexpectedResponse):
            cause = error.source if isinstance(error, ResponseHandlingException) else error
            return f"{type(cause).__name__}: {cause}"
        try:
            reason = str(error.structured()["status"]["error"])
        except (ValueError, KeyError, TypeError):
            reason = error.content.decode(errors="replace")
        return f"HTTP {error.status_code}: {reason[:_LONGEST_REASON]}"

    def refused(self, error: Exception) -> bool:
        """Return whether the server answered."""
        return isinstance(error, UnexpectedResponse | QdrantException)

    def within(self, seconds: float) -> Rest:
        """Return the same interface with another deadline."""
        return Rest(replace(self.reach, deadline=seconds))

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,  # noqa: ANN401 - JSON
        *,
        absent: Container[int] = (),
        **content: Any,  # noqa: ANN401 - of a request of the client's library, such as `files`
    ) -> Any:  # noqa: ANN401 - JSON
        """Return the `result` of a request as the server says it; None for a status in `absent`.

        For points and configurations: the client's models leave out what a newer server adds, and refuse a
        sparse vector with a float that is not a number. They also take 17 % longer to read points.
        """
        with self.asked(f"an answer to {method} {path}") as client:
            send = client.http.client.request
            try:
                return send(type_=dict, method=method, url=path, json=body, **content)["result"]
            except UnexpectedResponse as error:
                if error.status_code not in absent:
                    raise
                return None

    def version(self) -> str:
        """Return the server's version in its own words."""
        with self.asked("a version") as client:
            return client.info().version

    def collections(self, patterns: Iterable[str]) -> list[str]:
        """Return the names of the collections that match shell-style `patterns`, sorted."""
        with self.asked("a list of collections") as client:
            found = client.get_collections().collections
        return chosen((each.name for each in found), patterns)

    def count(self, collection: str) -> int:
        """Return the exact number of points."""
        with self.asked(f"a count of {collection}") as client:
            return client.count(collection, exact=True).count

    def aliases(self) -> dict[str, str]:
        """Return the collection of every alias, sorted by alias."""
        with self.asked("aliases") as client:
            found = client.get_aliases().aliases
        return dict(sorted((each.alias_name, each.collection_name) for each in found))

    def nearest(
        self,
        collection: str,
        vector: Any,  # noqa: ANN401 - JSON
        limit: int,
        *,
        using: str = "",
        exact: bool = False,
        without: Sequence[str] = (),
    ) -> list[tuple[str, float]]:
        """Return the ids and scores of the points nearest to `vector`, a JSON value; the best first.

        The points `without` are left out.
        """
        query = models.SparseVector(**vector) if isinstance(vector, Mapping) else list(vector)
        left_out = models.HasIdCondition(has_id=[point_id(key) for key in without])
        with self.asked(f"a search in {collection}") as client:
            found = client.query_points(
                collection,
                query=query,
                using=using or None,
                limit=limit,
                with_payload=False,
                search_params=models.SearchParams(exact=exact),
                query_filter=models.Filter(must_not=[left_out]) if without else None,
            )
        return [(str(hit.id), float(hit.score)) for hit in found.points]

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

    def scroll(self, collection: str, request: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Return one answer with the points that `request` selects, in the order of their ids."""
        return self.call("POST", f"{path_of(collection)}/points/scroll", request)

    def scrolled(self, collection: str, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the points that `request` selects, in the order of their ids, one answer after the other."""
        offset: dict[str, Any] = {}
        while True:
            block = self.scroll(collection, {**request, **offset})
            yield from block["points"]
            if block["next_page_offset"] is None:
                return
            offset = {"offset": block["next_page_offset"]}

    def download(self, path: str, file: IO[bytes]) -> str:
        """Write the content at `path` into `file`; return its SHA-256 in hexadecimal.

        A request of our own: the client gives no address of a snapshot's content, and reads an answer whole
        into memory.
        """
        digest, seconds = hashlib.sha256(), self.reach.deadline
        with Cutoff(seconds) as cutoff:
            try:
                with (
                    httpx2.Client(verify=self._trusted(), trust_env=False, timeout=seconds) as client,
                    client.stream(
                        "GET",
                        self.reach.url + path,
                        headers=self._key(),
                        extensions={"trace": cutoff.trace},
                    ) as response,
                ):
                    response.raise_for_status()
                    for chunk in response.iter_bytes():
                        file.write(chunk)
                        digest.update(chunk)
            except httpx2.HTTPError as error:
                late = TimeoutError(f"none after {seconds:g} s") if cutoff.passed else error
                expected = f"an answer to GET {path} within {seconds:g} s"
                raise self.reach.failed(late, expected=expected, means=unanswered(late)) from None
        return digest.hexdigest()

    def _limited(self, request: Any, send: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - of the client's library
        """Send a request, and end it at the deadline: the client's own limits are per read."""
        with Cutoff(self.reach.deadline) as cutoff:
            request.extensions["trace"] = cutoff.trace
            try:
                return send(request)
            except ResponseHandlingException:
                if cutoff.passed:
                    raise TimeoutError(f"none after {self.reach.deadline:g} s") from None
                raise

    def _key(self) -> dict[str, str]:
        key = self.reach.account.password.get_secret_value()
        return {"api-key": key} if key else {}

    def _trusted(self) -> ssl.SSLContext | bool:
        if not self.reach.endpoint.tls:
            return False
        return ssl.create_default_context(cafile=self.reach.endpoint.ca)


def point_id(key: str) -> int | str:
    """Return a point's id by its text."""
    return int(key) if key.isdecimal() else key


def path_of(collection: str) -> str:
    """Return the path of a collection."""
    return f"/collections/{quote(collection, safe='')}"
