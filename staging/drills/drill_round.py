"""A round of drills: checks that a real monitor sees each in time, in the right band, and decides right."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reports.terminal.progress import Progress
from rollproof.engines.factory import open_engine
from rollproof.errors import ActionFailed
from rollproof.monitoring.assessment import Assessed, scope_of
from rollproof.monitoring.samples import read_samples, samples_path
from rollproof.monitoring.severity import Severity, Standing, assess_now, monitored_samples
from rollproof.monitoring.tree import decide
from rollproof.profile.bands import Band, Bands
from rollproof.profile.profile import Target, load_target
from rollproof.system.clock import Moment
from rollproof.system.files import write_whole
from staging.drills.drill import Drill, Ground
from staging.drills.request_load import Load
from staging.drills.slow_proxy import SlowProxy, slow_proxy
from staging.drills.soak import Soak, processor_seconds_of, soak_of
from staging.stack.stack import Stack
from staging.target.action_runs import apart, require_action
from staging.target.operators import Operators

RECORD = "drills.json"
END_SECONDS = 30
# Seconds to wait for an earlier drill's end, by its longest band; and for a band to be met late.
WELL_SECONDS, LATE_SECONDS = 420.0, 60.0
POLL_SECONDS = 0.2
# Extra samples read with a soak's own: from before it, and from the time of reading.
SPARE_SAMPLES = 20
# A band must be seen within this many beats after its own time.
BEATS = 2


@dataclass(frozen=True, slots=True)
class Seen:
    """A drill's result: the seconds after the band's own time until it was met, None if it was not.

    `decision` is the decision tree's answer then; `wrong` is "" if everything was as expected.
    """

    name: str
    what: str
    band: str
    own_seconds: float
    late_seconds: float | None
    decision: str
    wrong: str

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.wrong


@dataclass
class Drills:
    """A round's results so far. `alarms` are bands that were met while nothing was wrong.

    `soak` is the monitor's record of that time, or None if there was no soak.
    """

    seen: list[Seen] = field(default_factory=list)
    soak: Soak | None = None
    requests: int = 0
    alarms: list[str] = field(default_factory=list)
    finished: bool = False

    @property
    def passed(self) -> bool:
        """Whether the round finished, every drill and nothing else was seen, and no beat was off."""
        on_the_beat = self.soak is None or not self.soak.wrong
        return self.finished and all(seen.passed for seen in self.seen) and not self.alarms and on_the_beat

    def record(self) -> dict[str, Any]:
        """Return the round as a JSON object."""
        return {"passed": self.passed, **asdict(self)}


class Watch:
    """A monitor of the stack in a separate process, and the assessment of its samples."""

    def __init__(self, folder: Path, target: Target, pid: int) -> None:
        """Watch the samples of `target`, whose folders are below `folder`, and the process `pid`."""
        self.pid = pid
        folders = target.folders.model_copy(update={"incidents": folder / "incidents"})
        self.target = target.model_copy(update={"folders": folders})
        self.beat = target.premigration.monitoring.beat_seconds

    def assessed(self) -> Assessed:
        """Assess the target now, by the monitor's latest samples."""
        samples = monitored_samples(self.target)
        return Assessed(assess_now(self.target, samples), samples, monitored=True)

    def wait_until_well(self) -> None:
        """Wait until no band is met or lasting, and every probe of the newest sample is well.

        A band of shares that is not met for a beat can be met again because of an earlier drill.

        Raises:
            ActionFailed: the stack did not become well in time.
        """
        give_up = time.monotonic() + WELL_SECONDS
        while unwell := self._unwell():
            if time.monotonic() > give_up:
                raise ActionFailed(
                    what="stack before a drill",
                    expected="every figure within its limit, and every probe well",
                    observed="; ".join(unwell),
                    source=str(samples_path(self.target)),
                    hint="what an earlier drill broke is not whole again",
                )
            time.sleep(POLL_SECONDS)

    def _unwell(self) -> list[str]:
        assessed = self.assessed()
        if not assessed.samples:
            return ["no sample"]
        bad = [one for bad in (Standing.MET, Standing.LASTING) for one in assessed.assessment.of(bad)]
        probes = assessed.samples[-1].probes.items()
        return [f"{one.band}: {one.text}" for one in bad] + [
            f"{name}: {probe.text}" for name, probe in probes if not probe.ok
        ]


def run_drills(
    stack: Stack,
    folder: Path,
    drills: Sequence[Drill],
    soak_seconds: float,
    progress: Progress,
    record: Path,
) -> Drills:
    """Run `drills` in turn, then let `soak_seconds` pass under load; write `record` after each.

    Raises:
        Problem: the stack could not be read, or was not well between two drills.
    """
    found = Drills()
    target = load_target(stack.profile)
    with ExitStack() as opened:
        proxy = opened.enter_context(slow_proxy(str(target.application.url).rstrip("/")))
        with progress.step("capture a baseline"):
            require_action(
                stack.root, apart(stack.profile, folder), "capture", hint="see that the stack is well"
            )
        watch = opened.enter_context(_watching(stack, folder, target, proxy))
        load = Load(str(target.application.url))
        opened.enter_context(load.running())
        ground = Ground(stack, Operators(target, open_engine(target.engine), opened), load, proxy)
        for drill in drills:
            with progress.step(f"drill {drill.name}: {drill.what}") as step:
                watch.wait_until_well()
                seen = _drilled(watch, drill, ground)
                step.result = seen.wrong or f"seen {seen.late_seconds:.1f} s after {seen.own_seconds:g} s"
            found.seen.append(seen)
            _keep(found, record)
        if soak_seconds:
            with progress.step(f"{soak_seconds:g} s without trouble") as step:
                watch.wait_until_well()
                alarms, found.soak = _soaked(watch, soak_seconds)
                found.alarms += alarms
                found.requests = load.asked
                step.result = f"{len(found.alarms)} false alarms; {found.soak}"
    found.finished = True
    _keep(found, record)
    return found


def _drilled(watch: Watch, drill: Drill, ground: Ground) -> Seen:
    band = _band(watch.target.severity, drill)
    own = max(band.seconds, (band.samples - 1) * watch.beat)
    with drill.inject(ground):
        began, give_up = Moment.now(), time.monotonic() + own + LATE_SECONDS
        while not _met(assessed := watch.assessed(), drill) and time.monotonic() < give_up:
            time.sleep(POLL_SECONDS)
    if not _met(assessed, drill):
        return Seen(drill.name, drill.what, drill.band, own, None, "", "it was not seen")
    late = assessed.samples[-1].at.seconds_since(began) - own
    decision = decide(
        assessed.assessment.severity,
        scope_of(watch.target, assessed),
        watch.target.responding.investigation_seconds,
    )
    said = " ".join((decision.action, *decision.names))
    wrong = []
    if not -watch.beat <= late <= BEATS * watch.beat:
        wrong.append(f"expected within {BEATS} beats after {own:g} s, observed {late:.1f} s")
    if assessed.assessment.severity is not drill.severity:
        wrong.append(f"expected {drill.severity}, observed {assessed.assessment.severity}")
    if (decision.action, decision.names) != (drill.action, drill.names):
        wrong.append(f"expected {' '.join((drill.action, *drill.names))}, observed {said}")
    return Seen(drill.name, drill.what, drill.band, own, late, said, "; ".join(wrong))


def _met(assessed: Assessed, drill: Drill) -> bool:
    return any(
        (finding.band, finding.severity) == (drill.band, drill.severity)
        for finding in assessed.assessment.of(Standing.MET)
    )


def _band(bands: Bands, drill: Drill) -> Band:
    of_severity = bands.critical if drill.severity is Severity.CRITICAL else bands.non_critical
    band: Band = getattr(of_severity, drill.band.replace(" ", "_"))
    return band


def _soaked(watch: Watch, seconds: float) -> tuple[list[str], Soak]:
    """Return the bands met in that time, each with its sample, and the monitor's soak."""
    alarms, end, last = [], time.monotonic() + seconds, -1
    began, before = Moment.now(), processor_seconds_of(watch.pid)
    while time.monotonic() < end:
        assessed = watch.assessed()
        if assessed.samples and assessed.samples[-1].beat != last:
            last = assessed.samples[-1].beat
            met = assessed.assessment.of(Standing.MET)
            alarms += [f"beat {last}: {finding.band}: {finding.text}" for finding in met]
        time.sleep(POLL_SECONDS)
    ended, after = Moment.now(), processor_seconds_of(watch.pid)
    core = None if before is None or after is None else (after - before) / ended.seconds_since(began)
    count = int(seconds / watch.beat) + SPARE_SAMPLES
    samples = read_samples(samples_path(watch.target), count)
    return alarms, soak_of(samples, began, ended, watch.beat, core)


@contextmanager
def _watching(stack: Stack, folder: Path, target: Target, proxy: SlowProxy) -> Iterator[Watch]:
    """Run a monitor that reaches the application through `proxy`."""
    with (folder / "monitor.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "rollproof", "monitor"],
            cwd=stack.root,
            env=apart(stack.profile, folder, APPLICATION__URL=proxy.url),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Watch(folder, target, process.pid)
        finally:
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(END_SECONDS)


def _keep(found: Drills, record: Path) -> None:
    record.parent.mkdir(parents=True, exist_ok=True)
    write_whole(record, json.dumps(found.record(), indent=1, sort_keys=True).encode())


def show(found: Drills, console: Console) -> None:
    """Print a round's table and its summary."""
    table = Table(title="Drills")
    for name in ("drill", "band", "its own time, s", "seen after it, s", "decision", "result"):
        table.add_column(name, overflow="fold", justify="right" if name.endswith(", s") else "left")
    for seen in found.seen:
        table.add_row(
            seen.what,
            seen.band,
            f"{seen.own_seconds:g}",
            "" if seen.late_seconds is None else f"{seen.late_seconds:.1f}",
            seen.decision,
            "as it should be" if seen.passed else f"[bold red]{escape(seen.wrong)}[/]",
        )
    console.print(table)
    if found.soak is not None:
        console.print(f"monitor: {found.soak}", markup=False)
        for wrong in found.soak.wrong:
            console.print(f"[bold red]{escape(wrong)}[/]")
    for alarm in found.alarms:
        console.print(f"false alarm: {alarm}", markup=False)
    well = sum(seen.passed for seen in found.seen)
    soaked = "" if found.soak is None else f"; {len(found.alarms)} false alarms in {found.soak.seconds:g} s"
    console.print(
        f"{well} of {len(found.seen)} drills were seen in time and answered right{soaked}", markup=False
    )
