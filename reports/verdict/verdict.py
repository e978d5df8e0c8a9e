"""`verdict.json`: the verdict of an incident, for programs."""

from __future__ import annotations

import json
from pathlib import Path

from rollproof.errors import UsageProblem
from rollproof.home import typed
from rollproof.record_names import VERDICT
from rollproof.system.files import write_whole
from rollproof.system.record_files import as_json, read_record
from rollproof.verdict import RunVerdict


def write_verdict(folder: Path, verdict: RunVerdict) -> Path:
    """Write the verdict into the incident's folder, whole or not at all; return its path."""
    path = folder / VERDICT
    text = json.dumps(as_json(verdict), ensure_ascii=False, allow_nan=False, indent=2)
    # A lone surrogate, from a damaged record, is written as JSON escapes it.
    write_whole(path, f"{text}\n".encode("utf-8", "backslashreplace"), mode=0o644)
    return path


def read_verdict(folder: Path) -> RunVerdict:
    """Return the verdict that `write_verdict` wrote into the incident's folder.

    Raises:
        UsageProblem: the file is missing, or holds no verdict.
    """
    path = folder / VERDICT
    what, hint = "verdict", f"run the checks again: {typed('verify verification --target PROFILE')}"
    found = read_record(RunVerdict, path, what=what, hint=hint)
    if found is None:
        raise UsageProblem(
            what=what, expected=f"a readable {VERDICT}", observed="no such file", source=str(path), hint=hint
        )
    return found
