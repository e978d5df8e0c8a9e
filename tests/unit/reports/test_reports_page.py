"""The page of a record: it calls nobody, and each category holds what it is for."""

from __future__ import annotations

import base64

from reports.html.html import sealed

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
