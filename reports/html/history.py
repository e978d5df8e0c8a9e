"""The results of a target's checks in earlier incidents, which Allure shows next to each check.

Each target has one file next to its incidents, with a line of JSON per report. The file is made from the
reports and can be lost: damaged lines are left out, as if they had never been written.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reports.tools.processes import NoReport
from rollproof.errors import reason_of
from rollproof.incident.incident import Incident
from rollproof.reading import read_regular
from rollproof.system.files import write_whole

MOST_REPORTS = 10
MOST_BYTES = 1_000_000
MESSAGE_CHARACTERS = 200
_PARTS = {"uuid": str, "name": str, "timestamp": int, "knownTestCaseIds": list, "testResults": dict}


def history_of(incident: Incident) -> Path:
    """Return the path of the target's history, which need not exist yet."""
    return incident.folder.parent / f"history-{incident.target}.jsonl"


def earlier_reports(path: Path, report: str) -> tuple[list[bytes], int]:
    """Return the lines of all reports except the one called `report`, and the count of damaged lines.

    Raises:
        NoReport: the file cannot be read.
    """
    try:
        lines = read_regular(path).splitlines() if path.exists() else []
    except OSError as error:
        raise _out_of_reach(path, "read", error) from None
    points = [(line, _point(line)) for line in lines]
    kept = [line for line, point in points if point is not None and point["name"] != report]
    return kept, sum(point is None for _, point in points)


def write_history(path: Path, lines: list[bytes]) -> None:
    """Write the newest `lines`; the last one, just added by Allure, is slimmed.

    Raises:
        NoReport: the file cannot be written.
    """
    slim = [_slim(line) for line in lines[-1:]]
    kept = [*lines[-MOST_REPORTS:-1], *slim]
    while len(kept) > 1 and sum(map(len, kept)) > MOST_BYTES:
        kept.pop(0)
    try:
        write_whole(path, b"".join(line + b"\n" for line in kept))
    except OSError as error:
        raise _out_of_reach(path, "written", error) from None


def _point(line: bytes) -> dict[str, Any] | None:
    """Parse a line; return None if it is not as Allure writes it."""
    try:
        point = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(point, dict) or not all(isinstance(point.get(k), kind) for k, kind in _PARTS.items()):
        return None
    return point if all(isinstance(result, dict) for result in point["testResults"].values()) else None


def _slim(line: bytes) -> bytes:
    """Return a line without the parts that the incident's own report holds: traces, labels, long messages."""
    point = json.loads(line)
    for result in point["testResults"].values():
        result.pop("trace", None)
        result["labels"] = []
        if isinstance(result.get("message"), str):
            result["message"] = result["message"][:MESSAGE_CHARACTERS]
    return json.dumps(point, ensure_ascii=False, separators=(",", ":")).encode()


def _out_of_reach(path: Path, done: str, error: OSError) -> NoReport:
    return NoReport(
        what="history of the target",
        expected=f"a file that can be {done}",
        observed=reason_of(error),
        source=str(path),
        hint="correct its permissions, or move it away: it is rebuilt from reports",
    )
