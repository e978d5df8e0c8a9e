"""The page of a record: it calls nobody, and each category holds what it is for."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

import pytest

from reports.allure.categories import CATEGORIES, code_of
from reports.html.html import sealed, with_front
from rollproof.errors import Meaning

ANALYTICS = """<script async src="https://www.googletagmanager.com/gtag/js?id=G-1"></script>
    <script>
        function gtag(){dataLayer.push(arguments);}
        gtag('config', 'G-1', {"report": "awesome"});
    </script>"""


def page(*, analytics: str = ANALYTICS, body: str = "", bundle: str = "start()") -> str:
    code = base64.b64encode(bundle.encode()).decode()
    return f"""<!DOCTYPE html>
<html><head>
<meta charset="utf-8"><link rel="icon" href="data:image/svg+xml,%3Csvg%3E"></head>
<body><script src="data:text/javascript;base64,{code}"></script>
{analytics}
<script>d("widgets/statistic.json", "eyJ0b3RhbCI6NTB9")</script>
<a href="https://allurereport.org">Allure</a>{body}</body></html>"""


def test_the_analytics_are_removed_and_nothing_else() -> None:
    result = sealed(page())

    assert "googletagmanager" not in result
    assert "gtag" not in result
    policy = result[
        result.index("<meta http-equiv") : result.index(">", result.index("<meta http-equiv")) + 1
    ]
    assert "default-src 'none'" in policy
    assert "https:" not in policy
    assert result.index(policy) < result.index("<link")
    assert result.replace(f"\n    {policy}", "") == page(analytics="")


def test_the_first_screen_is_the_beginning_of_the_body() -> None:
    made = with_front(sealed(page()), "<section>\\1 first</section>")
    assert "<body><section>\\1 first</section><script" in made


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
