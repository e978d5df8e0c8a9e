"""`report.html`: one file with everything in it; opening it makes no request."""

from __future__ import annotations

import base64
import json
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reports.allure.categories import CATEGORIES
from reports.allure.metadata import report_name
from reports.pictures.album import EVERY
from reports.tools.node import TOOLS, find_allure
from reports.tools.processes import NoReport, run
from rollproof.errors import reason_of
from rollproof.home import typed
from rollproof.incident.incident import Incident, load_incident
from rollproof.reading import read_regular
from rollproof.record_names import (
    PICTURES,
    POST_MORTEM,
    REPORT,
    RESULTS,
    ROLLBACK,
    VERDICT,
)
from rollproof.system.files import write_whole

RENDER_SECONDS = 120.0
# A report holds its attachments; the program that wrote it was ours.
_LARGEST_REPORT = 1024 * 1024 * 1024
# Labels of every result that no reader needs.
_HIDDEN_LABELS = ["framework", "host", "language", "nodeId", "package", "parentSuite", "suite", "thread"]
# The incident's files that are shown next to the results, if they exist.
_ATTACHED = (
    POST_MORTEM,
    *(f"{PICTURES}/{name}" for name in EVERY),
    *(VERDICT, ROLLBACK),
)

# Allure has no setting that leaves its analytics out.
_ANALYTICS = re.compile(
    r'<script async src="https://www\.googletagmanager\.com/[^"]*"></script>\s*'
    r"<script>(?:(?!</script>).)*gtag\('config'(?:(?!</script>).)*</script>",
    re.DOTALL,
)
# The browser then blocks every request, whatever an attachment or a later Allure contains.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline' data:; "
    "img-src data: blob:; media-src data: blob:; font-src data:; connect-src data: blob:; "
    "frame-src data: blob:; form-action 'none'"
)
_LOGO = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" fill="none" stroke-linecap="round"
 stroke-linejoin="round"><path d="M6.5 12A10.5 10.5 0 1 1 5.6 17" stroke="#0f766e" stroke-width="3"/>
<path d="M5.5 5v7.5H13" stroke="#0f766e" stroke-width="3"/><path d="m11.5 16.5 3.5 3.5 6.5-7" stroke="#16a34a"
 stroke-width="3"/></svg>"""


def render(
    incident_folder: Path,
    front: str = "",
    *,
    tools: Path = TOOLS,
    progress: Callable[[str], None] = lambda _text: None,
    seconds: float = RENDER_SECONDS,
) -> Path:
    """Make `report.html` from all results of the incident in `incident_folder`, and return its path.

    `front` is the HTML of its first screen, before Allure's tree.

    Raises:
        UsageProblem: there is no incident in the folder.
        NoReport: Allure is missing, fails or times out after `seconds`; or the report cannot be written.
    """
    incident = load_incident(incident_folder)
    allure = find_allure(progress, tools)
    with tempfile.TemporaryDirectory(prefix="rollproof-report-") as temporary:
        config = Path(temporary) / "allurerc.json"
        config.write_text(json.dumps(_configuration(incident)), encoding="utf-8")
        output = Path(temporary) / "report"
        run(
            [
                *(allure.node, str(allure.script), "generate"),
                *("--config", str(config), "--output", str(output), "--cwd", str(incident_folder)),
                # A relative path: Allure treats it as a pattern.
                RESULTS,
            ],
            what="report",
            hint=f"the results are untouched; try again, or open {RESULTS} with another Allure",
            seconds=seconds,
            folder=incident_folder,
            environment=_environment(temporary),
        )
        page = with_front(sealed(read_regular(output / "index.html", _LARGEST_REPORT).decode()), front)
    report = incident_folder / REPORT
    try:
        write_whole(report, page.encode())
    except OSError as error:
        raise NoReport(
            what="report",
            expected="a file that can be written",
            observed=reason_of(error),
            source=str(report),
            hint=f"make room there, or correct the permissions: then {typed('report FOLDER')}",
        ) from None
    return report


def sealed(page: str) -> str:
    """Return the `page` that Allure made, without its analytics and with a policy that forbids any request.

    Raises:
        NoReport: the known analytics tag is missing.
    """
    page, removed = _ANALYTICS.subn("", page)
    if removed != 1:
        raise NoReport(
            what="requests of the report",
            expected="one known analytics tag, which is removed",
            observed=f"{removed} such tags",
            source="the page that Allure made",
            hint="reports/html/html.py knows Allure's page by version: see what the new one fetches",
        )
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    return page.replace("<head>", f"<head>\n    {policy}", 1)


def with_front(page: str, front: str) -> str:
    """Return the `page` with the HTML `front` at the beginning of its body."""
    return re.sub(r"<body[^>]*>", lambda body: body[0] + front, page, count=1)


def _configuration(incident: Incident) -> dict[str, Any]:
    logo = base64.b64encode(_LOGO.encode()).decode()
    options = {
        "singleFile": True,
        "reportLanguage": "en",
        "groupBy": ["feature", "story"],
        # Titles sort in the stages' order. By time, a phase that ran again would come last.
        "defaultSortBy": "name,asc",
        "logo": f"data:image/svg+xml;base64,{logo}",
    }
    return {
        "name": report_name(incident),
        "plugins": {"awesome": {"options": options}},
        "hideLabels": _HIDDEN_LABELS,
        "categories": CATEGORIES,
        "globalAttachments": [name for name in _ATTACHED if (incident.folder / name).is_file()],
    }


def _environment(temporary: str) -> dict[str, str]:
    """Return this process's environment without Allure's variables, which could redirect its output."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ALLURE_")}
    return {**kept, "TMPDIR": temporary}
