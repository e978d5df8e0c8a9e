"""The view of a monitor's samples: one line a beat, or JSON."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import datetime
from queue import Full, Queue
from typing import Self, TextIO, cast

from reports.terminal.progress import Lasting
from rollproof.errors import plain
from rollproof.monitoring.samples import ProbeKind, Sample
from rollproof.monitoring.severity import CUT_OFF
from rollproof.system.record_files import as_json

_MARKS = {True: "ok", False: "WRONG", None: "UNKNOWN"}
# A paused terminal takes nothing; a sample that does not fit into this queue is never shown.
_WAITING = 8
_END_SECONDS = 1.0


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
    """Shows samples in its own thread: a beat never waits for a reader. A context manager."""

    def __init__(self, stream: TextIO, *, as_json: bool, check: str = "") -> None:
        """Show on `stream`, until nobody reads it.

        `check` is what to type when this machine may be cut off.
        """
        self._check = check
        self._cut_off = False
        self._lasting = cast("TextIO", Lasting(stream))
        self._as_json = as_json
        self._samples: Queue[Sample | None] = Queue(_WAITING)
        self._thread = threading.Thread(target=self._run, name="monitor view", daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Show the samples left, unless nobody takes them."""
        self._offer(None)
        self._thread.join(_END_SECONDS)

    def show(self, sample: Sample) -> None:
        """Show a sample as soon as possible."""
        self._offer(sample)

    def _offer(self, sample: Sample | None) -> None:
        try:
            self._samples.put_nowait(sample)
        except Full:
            return

    def _run(self) -> None:
        while (sample := self._samples.get()) is not None:
            self._shown(sample)

    def _shown(self, sample: Sample) -> None:
        text: Callable[[Sample], str] = _json if self._as_json else line_of
        self._lasting.write(f"{plain(text(sample))}\n")
        # Once each time, and not at every beat: it is for a person, and long.
        if sample.cut_off and not self._cut_off and not self._as_json:
            self._lasting.write(f"HINT: {self._check}\n")
        self._cut_off = sample.cut_off
        self._lasting.flush()


def _json(sample: Sample) -> str:
    return json.dumps(as_json(sample), sort_keys=True, ensure_ascii=False)
