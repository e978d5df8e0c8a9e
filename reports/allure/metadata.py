"""The facts about a run that Allure shows next to its results: its environment, and the report's title."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from rollproof.baseline.facts import Facts
from rollproof.home import version as own_version
from rollproof.incident.incident import Incident, IncidentKind, RollbackRecord
from rollproof.record_names import ENVIRONMENT_FILE
from rollproof.system.files import write_whole

_DASH = "\N{EN DASH}"
_ASCII = 128


def report_name(incident: Incident) -> str:
    """Return the report's title."""
    what = "migration" if incident.kind is IncidentKind.CHANGE else "incident"
    return f"Rollproof {_DASH} {incident.target} {_DASH} {what} {incident.id}"


def environment_of_run(
    incident: Incident, profile: Path, migration: str | None, recorded: Facts | None
) -> dict[str, str]:
    """Return target, commits, incident and versions, by the names that a report shows.

    `recorded` are the facts of the baseline, such as commit and images of the good state, if there is one.
    """
    rows = environment_of(incident, incident.rollback()) | {"Profile": profile.name}
    if migration is not None:
        rows["Migration to"] = migration
    if recorded is not None:
        rows["Baseline of commit"] = recorded.commit
        rows |= {f"Image of {c.service}": c.image for c in recorded.containers}
    rows |= {"Rollproof": own_version(), "Host": platform.node(), "Python": platform.python_version()}
    return rows | {name: version(name) for name in ("pytest", "allure-pytest")}


def environment_of(incident: Incident, rollback: RollbackRecord | None) -> dict[str, str]:
    """Return the facts from the incident's own record, by the same names."""
    rows = {"Incident": incident.id, "Target": incident.target, "Incident began": incident.started.wall}
    if rollback is not None:
        rows["Rollback"] = " ".join([rollback.kind, *rollback.names])
        rows["Rolled back to"] = rollback.commit
        if rollback.origin is not None:
            rows["Rolled back from"] = ", ".join(rollback.origin.commits)
    return rows


def write_environment(folder: Path, environment: Mapping[str, str]) -> None:
    """Write `environment` into `folder`; a later run of the same incident replaces it."""
    properties = "".join(f"{_property(key)}={_property(value)}\n" for key, value in environment.items())
    write_whole(folder / ENVIRONMENT_FILE, properties.encode("ascii"))


def _property(text: str) -> str:
    r"""Escape `text` for a Java properties file: one line, ASCII, no unintended separator.

    >>> _property("a b=ü")
    'a\\ b\\=\\u00fc'
    """
    special = str.maketrans({c: f"\\{c}" for c in "\\:=#! "} | {"\n": "\\n", "\r": "\\r", "\t": "\\t"})
    escaped = text.translate(special)
    units = escaped.encode("utf-16-be", "surrogatepass")
    pairs = (units[i : i + 2] for i in range(0, len(units), 2))
    return "".join(chr(n) if (n := int.from_bytes(p, "big")) < _ASCII else f"\\u{n:04x}" for p in pairs)
