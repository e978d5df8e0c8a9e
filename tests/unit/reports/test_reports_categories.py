"""Each category holds what it is for; what a check of a phase says when it is red has one of its own."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator, Mapping

import grpc  # type: ignore[import-untyped]
import httpx2
import pymongo.errors
import pymysql
import pytest
import redis
import requests
import urllib3

from reports.allure.categories import CATEGORIES, code_of
from rollproof.errors import Meaning, unanswered

WRONG = {
    Meaning.LATE: "late",
    Meaning.DATA_LOSS: "data loss",
    Meaning.DATA_CHANGED: "data changed",
    Meaning.WRONG_VERSION: "wrong version",
    Meaning.RESOURCES: "resources",
    Meaning.SERVICE_DOWN: "service down",
}
UNKNOWN = {Meaning.TIMEOUT: "timeout", Meaning.UNREACHABLE: "unreachable", Meaning.CRASH: "crash"}


def categories_of(status: str, trace: str) -> list[str]:
    """Return every category that fits, in order; searched as Allure 3 does, fitted as Allure 2 does."""
    found = []
    for rule in CATEGORIES:
        pattern = rule.get("traceRegex", "")
        searched = re.search(pattern, trace)
        assert not pattern or bool(re.fullmatch(pattern, trace, re.DOTALL)) == bool(searched)
        if status in rule["matchedStatuses"] and searched:
            found.append(rule["name"])
    return found


@pytest.mark.parametrize("meaning", Meaning)
@pytest.mark.parametrize(
    ("status", "name", "categories"),
    [("failed", "Verified wrong", WRONG), ("broken", "Could not verify", UNKNOWN)],
)
@pytest.mark.parametrize("trace", ["", "Traceback\nof two lines\n", f"[means:late]\n{Meaning.CRASH}\n"])
def test_a_meaning_has_one_category_beside_the_rest(
    meaning: Meaning, status: str, name: str, categories: Mapping[Meaning, str], trace: str
) -> None:
    own = [f"{name}: {categories[meaning]}"] if meaning in categories else []
    assert categories_of(status, trace + code_of(meaning)) == [*own, f"{name}: other"]


def test_what_has_no_code_is_in_the_rest() -> None:
    said = "late: phase2: expected done within 180 s, observed not started\n[means:late] is no code here"
    assert categories_of("failed", said) == ["Verified wrong: other"]
    assert categories_of("broken", "") == ["Could not verify: other"]
    assert categories_of("skipped", "") == ["Blocked"]
    assert categories_of("passed", code_of(Meaning.OTHER)) == []


class _Late(grpc.RpcError):  # type: ignore[misc] # it is not typed
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


ASK: dict[str, Callable[[int], object]] = {
    "httpx2": lambda port: httpx2.get(f"http://127.0.0.1:{port}", timeout=0.1),
    "requests": lambda port: requests.get(f"http://127.0.0.1:{port}", timeout=0.1),
    "urllib3": lambda port: urllib3.request("GET", f"http://127.0.0.1:{port}", timeout=0.1, retries=1),
    "redis": lambda port: redis.Redis(port=port, socket_timeout=0.1).ping(),
    "pymysql": lambda port: pymysql.connect(host="127.0.0.1", port=port, connect_timeout=1, read_timeout=1),
}


@pytest.mark.parametrize("driver", ASK)
def test_a_driver_that_timed_out_is_known_by_its_causes(silent: int, driver: str) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011 - whichever the driver has
        ASK[driver](silent)
    assert unanswered(raised.value) is Meaning.TIMEOUT


@pytest.mark.parametrize("error", [pymongo.errors.NetworkTimeout("no words"), _Late()])
def test_a_driver_that_timed_out_is_known_by_its_code(error: Exception) -> None:
    assert unanswered(error) is Meaning.TIMEOUT


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError("timed out, it says"),
        httpx2.ConnectError("timed out, it says"),
        redis.ConnectionError("timed out, it says"),
        pymysql.err.OperationalError(2003, "timed out, it says"),
        "timed out, it says",
    ],
    ids=lambda error: f"{type(error).__module__}.{type(error).__name__}",
)
def test_words_of_a_driver_mean_nothing(error: object) -> None:
    assert unanswered(error) is Meaning.UNREACHABLE


def test_causes_that_go_in_a_circle_have_an_end() -> None:
    first, second = OSError("one"), OSError("two")
    first.__cause__, second.__cause__ = second, first
    assert unanswered(first) is Meaning.UNREACHABLE
