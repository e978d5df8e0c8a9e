"""The view of a monitor's samples: a live table on a terminal, elsewhere one line a beat, or JSON."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from queue import Full, Queue
from typing import Self, TextIO, cast

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from reports.terminal.progress import Lasting
from rollproof.errors import plain
from rollproof.monitoring.samples import Probe, ProbeKind, Sample
from rollproof.monitoring.severity import CUT_OFF
from rollproof.system.record_files import as_json

_MARKS = {True: ("ok", "green"), False: ("WRONG", "bold red"), None: ("UNKNOWN", "bold yellow")}
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
    said = [f"{_MARKS[probe.ok][0]} {name}: {probe.text}" for name, probe in wrong.items()] or ["all well"]
    if sample.cut_off:
        said.insert(0, CUT_OFF)
    missed = f", {sample.missed} missed" if sample.missed else ""
    return f"{at:%H:%M:%S} UTC beat {sample.beat} (+{sample.late:.3f} s{missed}) {'; '.join([*said, *well])}"


def table_of(sample: Sample, check: str = "") -> Table:
    """Return a sample as a table; `check` is what to type when this machine may be cut off."""
    at = datetime.fromisoformat(sample.at.wall)
    title = f"{sample.target}, beat {sample.beat}, {at:%H:%M:%S} UTC, +{sample.late:.3f} s"
    table = Table(title=f"{title}, {sample.missed} missed" if sample.missed else title)
    for column in ("", "probe", "what was seen", "seconds"):
        table.add_column(column)
    for name, probe in sample.probes.items():
        table.add_row(*_row(name, probe))
    if sample.cut_off:
        table.caption = Text(f"{CUT_OFF}\nHINT: {check}", "bold yellow")
    return table


def _row(name: str, probe: Probe) -> tuple[Text, ...]:
    mark, style = _MARKS[probe.ok]
    return Text(mark, style), Text(plain(name)), Text(plain(probe.text)), Text(f"{probe.seconds:.2f}")


class View:
    """Shows samples in its own thread: a beat never waits for a reader. A context manager."""

    def __init__(self, stream: TextIO, *, as_json: bool, check: str = "") -> None:
        """Show on `stream`, until nobody reads it.

        `check` is what to type when this machine may be cut off.
        """
        self._check = check
        self._cut_off = False
        self._lasting = cast("TextIO", Lasting(stream))
        self._console = Console(file=self._lasting, highlight=False)
        self._live: Live | None = None
        self._as_json = as_json
        self._samples: Queue[Sample | None] = Queue(_WAITING)
        self._thread = threading.Thread(target=self._run, name="monitor view", daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Show the samples left, unless nobody takes them, and leave the terminal as it was."""
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
        live: AbstractContextManager[object] = nullcontext()
        if self._console.is_terminal and not self._as_json:
            live = self._live = Live(console=self._console, auto_refresh=False)
        with live:
            while (sample := self._samples.get()) is not None:
                self._shown(sample)

    def _shown(self, sample: Sample) -> None:
        if self._live is not None:
            self._live.update(table_of(sample, self._check), refresh=True)
            return
        text: Callable[[Sample], str] = _json if self._as_json else line_of
        self._lasting.write(f"{plain(text(sample))}\n")
        # Once each time, and not at every beat: it is for a person, and long.
        if sample.cut_off and not self._cut_off and not self._as_json:
            self._lasting.write(f"HINT: {self._check}\n")
        self._cut_off = sample.cut_off
        self._lasting.flush()


def _json(sample: Sample) -> str:
    return json.dumps(as_json(sample), sort_keys=True, ensure_ascii=False)
