"""Each category holds what it is for; what a check of a phase says when it is red has one of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from reports.allure.categories import CATEGORIES, code_of
from rollproof.errors import Meaning

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


@pytest.mark.parametrize(
    ("status", "name", "categories"),
    [("failed", "Verified wrong", WRONG), ("broken", "Could not verify", UNKNOWN)],
)
@pytest.mark.parametrize("trace", ["", "Traceback\nof two lines\n", f"[means:late]\n{Meaning.CRASH}\n"])
def test_a_meaning_has_one_category_beside_the_rest(
    status: str, name: str, categories: Mapping[Meaning, str], trace: str
) -> None:
    for meaning in Meaning:
        own = [f"{name}: {categories[meaning]}"] if meaning in categories else []
        assert categories_of(status, trace + code_of(meaning)) == [*own, f"{name}: other"], meaning


def test_what_has_no_code_is_in_the_rest() -> None:
    said = "late: phase2: expected done within 180 s, observed not started\n[means:late] is no code here"
    assert categories_of("failed", said) == ["Verified wrong: other"]
    assert categories_of("broken", "") == ["Could not verify: other"]
    assert categories_of("skipped", "") == ["Blocked"]
    assert categories_of("passed", code_of(Meaning.OTHER)) == []
