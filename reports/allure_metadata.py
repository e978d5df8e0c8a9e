"""What Allure shows about a run beside its results: environment, executor, categories."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fixtures.files import write_whole
from fixtures.incident import Incident

RESULTS = "allure-results"

_DASH = "\N{EN DASH}"
_ASCII = 128

# The first rule that fits a result counts. Regular expressions are JavaScript's.
CATEGORIES: tuple[dict[str, Any], ...] = (
    {"name": "Late", "messageRegex": "late: (phase|verification)", "matchedStatuses": ["failed"]},
    {"name": "Verified wrong", "matchedStatuses": ["failed"]},
    {"name": "Could not verify", "matchedStatuses": ["broken"]},
    {"name": "Blocked", "matchedStatuses": ["skipped"]},
)


def report_name(incident: Incident) -> str:
    """Return the report's title."""
    return f"Rollproof {_DASH} {incident.target} {_DASH} incident {incident.id}"


def write_metadata(folder: Path, incident: Incident, facts: dict[str, str]) -> None:
    """Write the three files into `folder`; a later run of the same incident replaces them."""
    environment = {
        "Incident": incident.id,
        "Target": incident.target,
        **facts,
        "Host": platform.node(),
        "Python": platform.python_version(),
        "pytest": version("pytest"),
        "allure-pytest": version("allure-pytest"),
    }
    properties = "".join(f"{_property(key)}={_property(value)}\n" for key, value in environment.items())
    write_whole(folder / "environment.properties", properties.encode("ascii"))
    executor = {
        "name": "Rollproof",
        "type": "pytest",
        "buildName": incident.id,
        "reportName": report_name(incident),
    }
    write_whole(folder / "executor.json", json.dumps(executor, indent=1).encode())
    write_whole(folder / "categories.json", json.dumps(CATEGORIES, indent=1).encode())


def _property(text: str) -> str:
    r"""Escape `text` for a Java properties file: one line, ASCII, no separator that is not meant.

    >>> _property("a b=ü")
    'a\\ b\\=\\u00fc'
    """
    special = str.maketrans({c: f"\\{c}" for c in "\\:=#! "} | {"\n": "\\n", "\r": "\\r", "\t": "\\t"})
    escaped = text.translate(special)
    units = escaped.encode("utf-16-be")
    pairs = (units[i : i + 2] for i in range(0, len(units), 2))
    return "".join(chr(n) if (n := int.from_bytes(p, "big")) < _ASCII else f"\\u{n:04x}" for p in pairs)
