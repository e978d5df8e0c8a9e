"""An assessment of a target by its monitor's samples, or by its own samples if no monitor runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rollproof.baseline.known_good import current_baseline
from rollproof.errors import UsageProblem
from rollproof.git.repository import head
from rollproof.incident.samples import BEFORE_SECONDS, ProbeKind, Sample, read_samples
from rollproof.incident.severity import (
    CUT_OFF,
    RECORDS_LOST,
    Assessment,
    BandState,
    Severity,
    assess,
    assess_now,
    is_monitored,
    is_silent,
    monitored_samples,
    samples_of,
)
from rollproof.monitoring.monitor import Beats
from rollproof.monitoring.probes.probe import COLLECTED
from rollproof.monitoring.probes.probes import probes_of
from rollproof.planning.tree import Action, Decision, Scope, decide
from rollproof.profile.profile import Target

# The runbook gives an assessment 30 s. The rest is for the program to start, which imports every driver, and
# for it to end, which waits for hanging probes. At the longest beat there is time for two samples.
OWN_SECONDS, LONGEST_BEAT = 26.0, 9.0
# A rollback frees no disk space.
_NOT_TO_BE_ROLLED_BACK = frozenset({"disk"})
_PLACES = "those of an incident are in its folder, those of now in monitor/ next to the incidents"


@dataclass(frozen=True, slots=True)
class Assessed:
    """An assessment, its samples, and whether a running monitor made them."""

    assessment: Assessment
    samples: tuple[Sample, ...]
    monitored: bool


def assess_target(
    target: Target, say: Callable[[str], None], beats_of: Callable[..., Beats] = Beats
) -> Assessed:
    """Return the severity now: by the monitor's last samples, or else by new ones, within 30 s.

    Raises:
        Unverifiable: the samples' file is damaged.
    """
    samples = monitored_samples(target, seconds=BEFORE_SECONDS)
    if is_monitored(target, samples):
        return Assessed(assess_now(target, samples), samples, monitored=True)
    beat = min(target.premigration.monitoring.beat_seconds, LONGEST_BEAT)
    # The first round takes at most a beat, and each sample is made within that part of its beat.
    count = int((OWN_SECONDS - (1 + COLLECTED) * beat) / beat) + 1
    say(f"no monitor runs: {count} samples of {beat:g} s are taken now")
    probes, redact = probes_of(target, beat * COLLECTED), target.redactor().text
    with closing(beats_of(target.name, probes, beat, lambda: False, redact)) as beats:
        own = tuple(islice(beats, count))
    return Assessed(assess(target.severity, own, beat), own, monitored=False)


def assess_again(target: Target, path: Path) -> Assessed:
    """Return the severity by the samples in the file `path`, as of the last one.

    Raises:
        UsageProblem: the file is of another target. `Unverifiable`: it is damaged, or cannot be read.
    """
    beat = target.premigration.monitoring.beat_seconds
    samples = read_samples(path, samples_of(target.severity, beat, BEFORE_SECONDS), hint=_PLACES)
    other = next((sample.target for sample in samples if sample.target != target.name), None)
    if other is not None:
        raise UsageProblem(
            what="samples of a monitor",
            expected=f"those of target {target.name}",
            observed=f"one of target {other}",
            source=str(path),
            hint="the bands of a profile are those of its own target: use the profile of that one",
        )
    return Assessed(assess(target.severity, samples, beat), samples, monitored=True)


def decision_by(target: Target, assessed: Assessed, *, still_bad: bool | None = None) -> Decision:
    """Return the tree's decision by severity and scope of `assessed`; `still_bad` as for `decide`."""
    if assessed.assessment.cut_off:
        return Decision(Action.INVESTIGATE, CUT_OFF)
    return decided(target, assessed.assessment.severity, scope_of(target, assessed), still_bad=still_bad)


def decided(target: Target, severity: Severity, scope: Scope, *, still_bad: bool | None = None) -> Decision:
    """Return the tree's decision for `target`; see `with_code`."""
    seconds = target.responding.investigation_seconds
    return with_code(target, decide(severity, scope, seconds, still_bad=still_bad))


def with_code(target: Target, decision: Decision) -> Decision:
    """Return a decision on one database as one on its code too, where that code has migrated it.

    Code of a later commit does not fit the database of the known-good one, or migrates it again at its start.

    Raises:
        UsageProblem: there is no baseline, or no working copy.
    """
    migrated = {one.store for one in target.application.migrations.values()}
    if decision.action is not Action.DATABASE or migrated.isdisjoint(decision.names):
        return decision
    deployed, known_good = head(target.application.repository), current_baseline(target).facts.commit
    if deployed == known_good:
        return decision
    reason = f"{decision.reason}; but it is migrated to {deployed[:12]}: code and data go back together"
    return Decision(Action.EMERGENCY, reason)


def scope_of(target: Target, assessed: Assessed) -> Scope:
    """Return the services and stores in trouble, as seen in the bands that are met and the newest sample.

    If there are none, the whole system counts: its requests fail, and no probe shows the place. Lost records,
    or only a full disk, are exceptions.
    """
    met = {finding.band for finding in assessed.assessment.of(BandState.MET)}
    if not met or not assessed.samples:
        return Scope()
    newest = assessed.samples[-1]
    unwell = {
        service for probe in newest.probes.values() if probe.ok is not True for service in probe.services
    }
    silent = {probe.store for probe in newest.of(ProbeKind.STORE) if is_silent(probe)}
    stores = tuple(
        name for name, store in target.stores.items() if name in silent or unwell.intersection(store.services)
    )
    services = tuple(service for service in target.application.services if service in unwell)
    # Of the stores whose records are gone each goes back; where none is named, all do.
    corrupt = RECORDS_LOST in met and not stores
    whole = not (services or stores or corrupt) and not met <= _NOT_TO_BE_ROLLED_BACK
    return Scope(services=services, stores=stores, corrupt=corrupt, whole=whole)
