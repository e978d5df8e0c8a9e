"""`allure-results.sha256`: what the raw results were when the run ended, for ``sha256sum --check``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from fixtures.files import write_whole
from reports.allure_metadata import RESULTS

CHECKSUMS = f"{RESULTS}.sha256"


def write_checksums(incident_folder: Path) -> Path:
    """Write the checksum of each raw result, sorted by name, beside their folder; return the path.

    ``sha256sum --check allure-results.sha256`` in the incident's folder compares them.
    """
    return _write(incident_folder, {path.name: _line(path) for path in _results(incident_folder)})


def add_checksums(incident_folder: Path) -> Path:
    """Write those that are not written yet, as `write_checksums` does: what was sealed stays so."""
    written = incident_folder / CHECKSUMS
    lines = written.read_text(encoding="utf-8").splitlines(keepends=True) if written.exists() else []
    sealed = {line.rstrip("\n").rpartition("/")[2]: line for line in lines}
    new = {path.name: _line(path) for path in _results(incident_folder) if path.name not in sealed}
    return _write(incident_folder, sealed | new)


def _results(incident_folder: Path) -> list[Path]:
    return sorted((incident_folder / RESULTS).iterdir())


def _line(path: Path) -> str:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return f"{digest}  {RESULTS}/{path.name}\n"


def _write(incident_folder: Path, lines: Mapping[str, str]) -> Path:
    written = incident_folder / CHECKSUMS
    write_whole(written, "".join(lines[name] for name in sorted(lines)).encode(), mode=0o644)
    return written
