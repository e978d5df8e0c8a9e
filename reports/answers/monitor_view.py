"""The view of a monitor's samples: one line a beat, or JSON."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TextIO, cast

from reports.terminal.progress import Lasting
from rollproof.errors import plain
from rollproof.incident.samples import ProbeKind, Sample
from rollproof.incident.severity import CUT_OFF
from rollproof.system.record_files import as_json

_MARKS = {True: "ok", False: "WRONG", None: "UNKNOWN"}


def line_of(sample: Sample) -> str:
    """Return a sample as one line: wrong probes first, then well ones; well stores are only counted.

    Before all of them it says when this machine may be cut off.
    """
    at = datetime.fromisoformat(sample.at.wall)
    wrong = {name: probe for name, probe in sample.probes.items() if not probe.ok}
    others = {name: probe for name, probe in sample.probes.items() if probe.kind is not ProbeKind.STORE}
    well = [f"{name} {probe.text}" for name, probe in others.items() if probe.ok]
    if stores := sum(bool(probe.ok) for probe in sample.of(ProbeKind.STORE)):
        well.append(f"{stores} stores answer")
    said = [f"{_MARKS[probe.ok]} {name}: {probe.text}" for name, probe in wrong.items()] or ["all well"]
    if sample.cut_off:
        said.insert(0, CUT_OFF)
    missed = f", {sample.missed} missed" if sample.missed else ""
    return f"{at:%H:%M:%S} UTC beat {sample.beat} (+{sample.late:.3f} s{missed}) {'; '.join([*said, *well])}"


class View:
    """Shows samples on `stream` until nobody reads it; `check` is what to type when cut off."""

    def __init__(self, stream: TextIO, *, as_json: bool, check: str = "") -> None:
        self._check = check
        self._cut_off = False
        self._lasting = cast("TextIO", Lasting(stream))
        self._as_json = as_json

    def show(self, sample: Sample) -> None:
        """Show a sample."""
        text = _json(sample) if self._as_json else line_of(sample)
        self._lasting.write(f"{plain(text)}\n")
        # Once each time, and not at every beat: it is for a person, and long.
        if sample.cut_off and not self._cut_off and not self._as_json:
            self._lasting.write(f"HINT: {self._check}\n")
        self._cut_off = sample.cut_off
        self._lasting.flush()


def _json(sample: Sample) -> str:
    return json.dumps(as_json(sample), sort_keys=True, ensure_ascii=False)
