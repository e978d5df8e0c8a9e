"""`report.html`: one file with everything in it; opening it makes no request."""

from __future__ import annotations

import base64
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from reports.allure.results import CATEGORIES, report_name
from reports.pictures.album import TIMELINE
from reports.postmortem.postmortem import FATES, Story
from reports.text.page import html
from reports.tools.node import NoReport, find_allure, run
from rollproof.home import typed
from rollproof.incident.incident import Incident, load_incident
from rollproof.reading import read_regular
from rollproof.record_names import POST_MORTEM, REPORT, RESULTS, ROLLBACK, VERDICT
from rollproof.system.files import write_whole

RENDER_SECONDS = 120.0
# A report holds its attachments; the program that wrote it was ours.
_LARGEST_REPORT = 1024 * 1024 * 1024
# Labels of every result that no reader needs.
_HIDDEN_LABELS = ["framework", "host", "language", "nodeId", "package", "parentSuite", "suite", "thread"]
# The incident's files that are shown next to the results, if they exist.
_ATTACHED = (POST_MORTEM, TIMELINE, VERDICT, ROLLBACK)

# In the first screen, what is said of the rest of the page.
_BELOW = "<!-- what is below -->"
_ATTACHED_BELOW = "Each check with its evidence is below; post-mortem and verdict are attached."
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
    incident_folder: Path, front: str = "", *, progress: Callable[[str], None] = lambda _text: None
) -> Path:
    """Make `report.html` from all results of the incident in `incident_folder`, and return its path.

    `front` is the HTML of its first screen, before Allure's tree.
    """
    incident = load_incident(incident_folder)
    allure = find_allure(progress)
    with tempfile.TemporaryDirectory(prefix="rollproof-report-") as temporary:
        config, output = Path(temporary) / "allurerc.json", Path(temporary) / "report"
        config.write_text(json.dumps(_configuration(incident)), encoding="utf-8")
        run(
            [
                *(allure.node, str(allure.script), "generate"),
                *("--config", str(config), "--output", str(output), "--cwd", str(incident_folder)),
                # A path relative to that folder: Allure treats it as a pattern.
                RESULTS,
            ],
            what="report",
            hint=f"the results are untouched; try again, or open {RESULTS} with another Allure",
            seconds=RENDER_SECONDS,
        )
        page = with_front(
            without_requests(read_regular(output / "index.html", _LARGEST_REPORT).decode()),
            front.replace(_BELOW, _ATTACHED_BELOW),
        )
    return _written(incident_folder, page)


def render_front(incident_folder: Path, front: str, report_command: str) -> Path:
    """Make `report.html` of its first screen `front` alone, without another program; return its path."""
    title = Markup("<title>{}</title>").format(report_name(load_incident(incident_folder)))
    charset = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    front = front.replace(_BELOW, escape(f"For a page of each check with its evidence: {report_command}."))
    head = f'<!doctype html>\n<html lang="en">\n<head>\n    {charset}{title}\n</head>'
    return _written(incident_folder, without_requests(f"{head}\n<body>{front}</body>\n</html>\n"))


def _written(incident_folder: Path, page: str) -> Path:
    report = incident_folder / REPORT
    try:
        write_whole(report, page.encode())
    except OSError as error:
        raise NoReport.of_file(
            report,
            error,
            what="report",
            expected="a file that can be written",
            hint=f"make room there, or correct the permissions: then {typed('report FOLDER')}",
        ) from None
    return report


def without_requests(page: str) -> str:
    """Return the `page` of Allure without its analytics, with a policy that forbids any request."""
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    return _ANALYTICS.sub("", page).replace("<head>", f"<head>\n    {policy}", 1)


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


def front_page(story: Story, redact: Callable[[str], str]) -> str:
    """Return the HTML of the first screen; its timeline is within it."""
    picture = story.record.incident.folder / TIMELINE
    timeline = _embedded(picture) if picture.is_file() else None
    return html("front.html.jinja", redact, story=story, timeline=timeline, fates=FATES)


def _embedded(picture: Path) -> Markup:
    data = base64.b64encode(read_regular(picture)).decode()
    return Markup('<img alt="{}" src="data:image/svg+xml;base64,{}">').format(picture.stem, data)
