"""An assessment of a target by its monitor's samples, or by samples of one's own where no monitor runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from fixtures.clock import Moment
from fixtures.errors import UsageProblem
from fixtures.kept_samples import BEFORE_SECONDS
from fixtures.monitored import assess_now, is_monitored, monitored_samples
from fixtures.samples import Sample, read_samples
from fixtures.severity import (
    RECORDS_LOST,
    STORE,
    Assessment,
    Severity,
    Standing,
    assess,
    first_bad,
    samples_of,
)
from fixtures.target import Target
from rollback_actions.decide import Scope
from rollback_actions.monitor import COLLECTED, Beats, clock
from rollback_actions.probes import probes_of

# The runbook gives an assessment 30 s; the first round, before the first beat, may take one of them.
OWN_SECONDS, LONGEST_BEAT = 29.0, 10.0
# Nothing that a rollback puts back frees space.
_NOT_TO_BE_ROLLED_BACK = frozenset({"disk"})


@dataclass(frozen=True, slots=True)
class Assessed:
    """An assessment, the samples that it was made from, and whether they are of a monitor that runs."""

    assessment: Assessment
    samples: tuple[Sample, ...]
    monitored: bool

    @property
    def first_bad(self) -> Moment | None:
        """When the first sample came that the worst bands which are met count from; None when none is."""
        return first_bad(self.assessment, self.samples)


def assess_target(target: Target, say: Callable[[str], None]) -> Assessed:
    """Return how bad it is now: by the monitor's last samples, else by new ones, within 30 s.

    Raises:
        Unverifiable: the file of the samples is damaged.
    """
    samples = monitored_samples(target, least=_looked_back(target))
    if is_monitored(target, samples):
        return Assessed(assess_now(target, samples), samples, monitored=True)
    beat = min(target.premigration.monitoring.beat_seconds, LONGEST_BEAT)
    # The first round takes a beat at most, and each sample is made within that part of its beat.
    count = int((OWN_SECONDS - (1 + COLLECTED) * beat) / beat) + 1
    say(f"no monitor runs: {count} samples of {beat:g} s are taken now")
    with closing(
        Beats(
            target.name,
            probes_of(target, beat * COLLECTED, clock),
            beat,
            lambda: False,
            target.redactor().text,
        )
    ) as beats:
        own = tuple(islice(beats, count))
    return Assessed(assess(target.severity, own, beat), own, monitored=False)


def assess_again(target: Target, path: Path, at: Moment | None = None) -> Assessed:
    """Return how bad it was by the samples in the file `path`, as of `at`, or as of the last of them.

    Raises:
        UsageProblem: there is no such file, or it is of another target.
        Unverifiable: it is damaged, or cannot be read.
    """
    if not path.is_file():
        raise UsageProblem(
            what="samples of a monitor",
            expected="a file",
            observed="none",
            source=str(path),
            hint="those of an incident are in its folder, those of now in monitor/ beside the incidents",
        )
    beat = target.premigration.monitoring.beat_seconds
    count = max(_looked_back(target), samples_of(target.severity, beat))
    samples = read_samples(path, count, at)
    other = next((sample.target for sample in samples if sample.target != target.name), None)
    if other is not None:
        raise UsageProblem(
            what="samples of a monitor",
            expected=f"those of target {target.name}",
            observed=f"one of target {other}",
            source=str(path),
            hint="the bands of a profile are those of its own target: use the profile of that one",
        )
    return Assessed(assess(target.severity, samples, beat, at), samples, monitored=True)


def _looked_back(target: Target) -> int:
    """Return of how many samples the first bad one may be: of as many as an incident keeps from before it."""
    return int(BEFORE_SECONDS / target.premigration.monitoring.beat_seconds)


def scope_of(target: Target, assessed: Assessed) -> Scope:
    """Return what is in trouble, told from the bands that are met and from the newest sample.

    Where no service and no store is, the whole system counts: its requests fail, and nobody says where.
    """
    met = {finding.band for finding in assessed.assessment.of(Standing.MET)}
    if not met or not assessed.samples:
        return Scope()
    probes = assessed.samples[-1].probes
    unwell = {service for probe in probes.values() if probe.ok is not True for service in probe.services}
    silent = {name.removeprefix(STORE) for name, probe in probes.items() if probe.ok is not True}
    stores = tuple(
        name for name, store in target.stores.items() if name in silent or unwell.intersection(store.services)
    )
    services = tuple(service for service in target.application.services if service in unwell)
    corrupt = RECORDS_LOST in met
    whole = not (services or stores or corrupt) and not met <= _NOT_TO_BE_ROLLED_BACK
    return Scope(services=services, stores=stores, corrupt=corrupt, whole=whole)


def assessment_lines(assessed: Assessed) -> Iterator[str]:
    """Yield the assessment for people: how bad it is, and where each band stands, the worst first."""
    assessment = assessed.assessment
    yield f"severity: {assessment.severity}"
    for standing in (Standing.MET, Standing.LASTING, Standing.UNKNOWN):
        for finding in assessment.of(standing):
            beats = f" (beats {finding.beats[0]} to {finding.beats[1]})" if finding.beats else ""
            yield f"{standing}: {finding.severity}, {finding.band}: {finding.text}{beats}"
    clear = [f"{finding.band} {finding.text}" for finding in assessment.of(Standing.CLEAR)]
    if clear:
        yield f"clear: {'; '.join(dict.fromkeys(clear))}"
    if not assessed.monitored and assessment.severity is not Severity.CRITICAL:
        yield "not judged: what takes longer than these samples; start the monitor"
