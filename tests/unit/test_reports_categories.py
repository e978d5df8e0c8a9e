"""Each category holds what it is for; what a check of a phase says when it is red has one of its own."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from reports.categories import CATEGORIES
from tests.conftest import ROOT

END = " (from somewhere)\nHINT: look"
OTHER = {"Verified wrong: other", "Could not verify: other"}
# What is wrong, and neither with the data nor with a service: another release, a left-over, an open door.
UNNAMED = {
    "image of 7",
    "commit of the image of 7",
    "containers that the baseline does not know",
    "commit of the working copy",
    "interface of the application",
    "7",  # what was let in, and should have been refused
}


def categories_of(status: str, message: str) -> list[str]:
    """Return every category that fits, in order; searched as Allure 3 does, fitted as Allure 2 does."""
    found = []
    for rule in CATEGORIES:
        pattern = rule.get("messageRegex", "")
        searched = re.search(pattern, message)
        assert not pattern or bool(re.fullmatch(pattern, message, re.DOTALL)) >= bool(searched)
        if status in rule["matchedStatuses"] and searched:
            found.append(rule["name"])
    return found


@pytest.mark.parametrize(
    ("category", "message"),
    [
        ("late", "late: phase2: expected done within 180 s, observed not started after 181.0 s"),
        ("late", "late: verification: expected done within 180 s, observed done only after 181.0 s"),
        (
            "late",
            "late: downtime, from the first bad sample to the end: expected at most 600 s, observed 7 s",
        ),
        (
            "late",
            "latency of the health endpoint: expected below 500 ms, observed 900 ms, the median of three",
        ),
        ("data loss", "records in users of mysql: expected 100, observed 98 (-2)"),
        (
            "data loss",
            "collection users of mysql: expected 9 records, policy exact, observed no such collection",
        ),
        (
            "data loss",
            "records of a of b: expected those of the baseline, policy exact, observed missing 2 (1, 2)",
        ),
        (
            "data loss",
            "files of the canary's knowledge base: expected a, b, observed missing: b; added: none",
        ),
        ("data loss", "references of mysql/files(id): expected each held by s3/b(key), observed 1 dangling"),
        ("data loss", "store kafka: expected records in the collection that was asked, observed none in t"),
        (
            "data loss",
            "volume db_data: expected mounted by a container, as recorded, observed no container has it",
        ),
        ("data changed", "records in users of mysql: expected 100, observed 101 (+1)"),
        (
            "data changed",
            "records of a of b: expected those of the baseline, policy exact, observed changed 1 (7)",
        ),
        (
            "data changed",
            "files of the canary's knowledge base: expected a, observed missing: none; added: b",
        ),
        ("data changed", "schema of users of mysql: expected the recorded one, observed 1 differences: x"),
        (
            "data changed",
            "neighbours of golden query 1 in docs of qdrant: expected 7 (0.9), observed 8 (0.9)",
        ),
        ("data changed", "positions of kafka: expected where they were, or further on, observed g: back"),
        ("resources", "memory of backend: expected below 90 % of its limit, observed 97.0 % (970 MB)"),
        ("resources", "free space of /: expected above 10 %, observed 2.0 %"),
        ("resources", "container db: expected not killed for want of memory, observed OOMKilled"),
        ("service down", "container db: expected running, observed exited, exit code 1"),
        ("service down", "health of db: expected healthy, observed unhealthy"),
        ("service down", "container of service db: expected db-1, observed none"),
        ("service down", "health endpoint: expected 200 {'status': 'UP'}, observed 503 {}"),
        ("service down", "stores: expected all up, observed down: kafka (refused)"),
        ("service down", "application: expected a status of success, observed 500: no"),
        ("other", "image of backend: expected a, observed b"),
        ("other", "assert 0 > 0"),
    ],
)
def test_what_is_wrong_is_in_its_category_first(category: str, message: str) -> None:
    found = categories_of("failed", message + END)
    assert found[0] == f"Verified wrong: {category}"
    assert not any(name.startswith("Could") for name in found)


@pytest.mark.parametrize(
    ("category", "message"),
    [
        ("timeout", "application: expected a whole answer within 5 s, observed none after 5 s"),
        ("timeout", "store mysql as reader: expected an answer within 5 s, observed more than 5 s"),
        ("timeout", "store redis as reader: expected an answer within 5 s, observed Timeout connecting"),
        ("timeout", "store mysql as reader: expected an answer within 5 s, observed (2013, 'timed out')"),
        ("unreachable", "store redis as reader: expected an answer within 5 s, observed Connection refused"),
        ("unreachable", "service kafka: expected a running container, observed kafka-1 exited"),
        ("unreachable", "containers: expected an answer within 2 s, observed DockerException: none"),
        ("crash", "the worker that ran it died"),
        ("crash", "no result: the check was planned and never reported"),
        ("crash", "ZeroDivisionError: division by zero"),
        ("other", "baseline: expected a folder with a manifest, observed none"),
    ],
)
def test_what_could_not_be_verified_is_in_its_category_first(category: str, message: str) -> None:
    end = END if ": expected " in message else ""
    found = categories_of("broken", message + end)
    assert found[0] == f"Could not verify: {category}"
    assert not any(name.startswith("Verified") for name in found)


def test_the_narrow_categories_do_not_overlap() -> None:
    """The first that fits counts; only that of changed data is meant to hold what loss leaves over."""
    message = "store redis as reader: expected an answer within 5 s, observed Connection refused" + END
    assert categories_of("broken", message) == ["Could not verify: unreachable", "Could not verify: other"]
    message = "container db: expected running, observed exited, exit code 1" + END
    assert categories_of("failed", message) == ["Verified wrong: service down", "Verified wrong: other"]
    assert categories_of("skipped", "Skipped: blocked: phase1 did not pass") == ["Blocked"]
    assert categories_of("passed", "") == []


def _mismatches() -> Iterator[tuple[str, str]]:
    """Yield what each mismatch of phases 1 to 4 is about, and its message, with 7 in every gap."""
    modules = [*(ROOT / "checks" / "verification").glob("*.py"), ROOT / "fixtures" / "given.py"]
    for path in [*modules, ROOT / "fixtures" / "asking.py", ROOT / "fixtures" / "references.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Mismatch":
                said = {keyword.arg: _text(keyword.value) for keyword in node.keywords}
                yield (
                    said["what"],
                    f"{said['what']}: expected {said['expected']}, observed {said['observed']}",
                )


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    return "7"


def test_every_mismatch_of_a_phase_has_a_category() -> None:
    found = dict(_mismatches())
    assert len(found) > 30
    without = {
        what for what, message in found.items() if set(categories_of("failed", message + END)) <= OTHER
    }
    assert without == UNNAMED
