"""`allure-results.sha256`: what the raw results were when the run ended, for ``sha256sum --check``."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fixtures.files import write_whole
from reports.allure_metadata import RESULTS

CHECKSUMS = f"{RESULTS}.sha256"


def write_checksums(incident_folder: Path) -> Path:
    """Write the checksum of each raw result, sorted by name, beside their folder; return the path.

    ``sha256sum --check allure-results.sha256`` in the incident's folder compares them.
    """
    lines = []
    for path in sorted((incident_folder / RESULTS).iterdir()):
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        lines.append(f"{digest}  {RESULTS}/{path.name}\n")
    written = incident_folder / CHECKSUMS
    write_whole(written, "".join(lines).encode(), mode=0o644)
    return written
