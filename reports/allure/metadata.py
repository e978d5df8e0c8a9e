"""The facts about a run that Allure shows next to its results: its environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rollproof.incident.incident import Incident
from rollproof.record_names import ENVIRONMENT_FILE
from rollproof.system.files import write_whole

_DASH = "\N{EN DASH}"
_ASCII = 128


def report_name(incident: Incident) -> str:
    """Return the report's title."""
    return f"Rollproof {_DASH} {incident.target} {_DASH} incident {incident.id}"


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
