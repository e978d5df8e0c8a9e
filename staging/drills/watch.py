"""Checks that a real monitor sees each drill in time, in the right band, and decides right."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reports.terminal.progress import Progress
from rollproof.errors import ActionFailed
from rollproof.incident.samples import samples_path
from rollproof.incident.severity import BandState, Severity, assess_now, monitored_samples
from rollproof.monitoring.assessment import Assessed, scope_of
from rollproof.planning.tree import decide
from rollproof.profile.bands import Band
from rollproof.profile.profile import Target, load_target
from rollproof.system.clock import Moment
from rollproof.system.command import end_group
from staging.drills.drill import Drill, Ground
from staging.drills.traffic import TrafficLoad
from staging.rounds import Round, RoundResult
from staging.stack.stack import Stack
from staging.target.action_runs import apart, require_action
from staging.target.operators import operators_of

END_SECONDS = 30
# Seconds to wait for an earlier drill's end, by its longest band; and for a band to be met late.
WELL_SECONDS, LATE_SECONDS = 420.0, 60.0
POLL_SECONDS = 0.2
# A band must be seen within this many beats after its own time.
BEATS = 2


@dataclass(frozen=True)
class AssessedMonitor:
    """The assessment of the samples of a monitor of `target`."""

    target: Target

    @property
    def beat(self) -> float:
        """The seconds from one sample to the next."""
        return self.target.premigration.monitoring.beat_seconds

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
        bad = [one for bad in (BandState.MET, BandState.LASTING) for one in assessed.assessment.of(bad)]
        probes = assessed.samples[-1].probes.items()
        return [f"{one.band}: {one.text}" for one in bad] + [
            f"{name}: {probe.text}" for name, probe in probes if not probe.ok
        ]


def run_drills(stack: Stack, folder: Path, drills: Sequence[Drill], progress: Progress, found: Round) -> None:
    """Run `drills` in turn under load.

    Raises:
        Problem: the stack could not be read, or was not well between two drills.
    """
    target = load_target(stack.profile)
    load = TrafficLoad(str(target.application.url).rstrip("/"))
    with operators_of(target) as operators:
        with progress.step("capture a baseline"):
            environment = apart(stack.profile, folder)
            require_action(stack.root, environment, "capture", hint="see that the stack is well")
        with _watching(stack, folder, target) as watch, load.running():
            for drill in drills:
                with progress.step(f"drill {drill.name}: {drill.what}") as step:
                    watch.wait_until_well()
                    result = _drilled(watch, drill, Ground(stack, operators, load))
                    step.result = result.wrong or result.seen
                found.add(result)
    found.finish()


def _drilled(watch: AssessedMonitor, drill: Drill, ground: Ground) -> RoundResult:
    bands = watch.target.severity
    of_severity = bands.critical if drill.severity is Severity.CRITICAL else bands.non_critical
    band: Band = getattr(of_severity, drill.band.replace(" ", "_"))
    own = max(band.seconds, (band.samples - 1) * watch.beat)
    started = time.monotonic()
    with drill.inject(ground):
        began, give_up = Moment.now(), time.monotonic() + own + LATE_SECONDS
        while not _met(assessed := watch.assessed(), drill) and time.monotonic() < give_up:
            time.sleep(POLL_SECONDS)
    seconds = time.monotonic() - started
    if not _met(assessed, drill):
        return RoundResult(drill.name, "", "it was not seen", seconds)
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
    facts = {"band": drill.band, "own_seconds": own, "late_seconds": late, "decision": said}
    seen = f"seen {late:.1f} s after {own:g} s: {said}"
    return RoundResult(drill.name, seen, "; ".join(wrong), seconds, facts)


def _met(assessed: Assessed, drill: Drill) -> bool:
    met = assessed.assessment.of(BandState.MET)
    return (drill.band, drill.severity) in {(finding.band, finding.severity) for finding in met}


@contextmanager
def _watching(stack: Stack, folder: Path, target: Target) -> Iterator[AssessedMonitor]:
    """Run a monitor of the target."""
    folders = target.folders.model_copy(update={"incidents": folder / "incidents"})
    with (folder / "monitor.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "rollproof", "monitor"],
            cwd=stack.root,
            env=apart(stack.profile, folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield AssessedMonitor(target.model_copy(update={"folders": folders}))
        finally:
            end_group(process, grace=END_SECONDS)
