"""Derives an incident's verdict from its ledger.

Runs count together within one span, as long as the profile's windows from their zero to the end of the last
one. Observations of a week ago say nothing of today.

A phase is late if it ended after its window. So it is if checks of it could not begin before the limit of
their phase or run. That is one finding, in addition to what the checks found, and no check's failure: what
was seen late is as true as before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from rollproof.errors import Meaning
from rollproof.incident.downtime import downtime_seconds, judged_downtime
from rollproof.incident.incident import Incident, IncidentKind
from rollproof.incident.ledger import CheckResult, Planned, Run, runs
from rollproof.profile.profile import Windows
from rollproof.runbook import PHASES, STEPS
from rollproof.system.clock import Moment
from rollproof.verdict import (
    CheckCounts,
    FirstRed,
    PhaseVerdict,
    RollbackVerdict,
    RunVerdict,
    Verdict,
    combine,
)

NEVER_REPORTED = "no result: the check was planned and never reported"


def span_seconds(windows: Windows) -> float:
    """Return the length of a span."""
    return max(float(getattr(windows, name).end) for name in PHASES)


def runs_of_span(
    incident: Incident, zero: Moment, at: Moment, windows: Windows, *, before: int | None = None
) -> list[Run]:
    """Return the runs, oldest first, that count together with one that began `at`.

    They verify the rollback which ended at `zero`, and began in the same span. Without a rollback every run
    has its own zero, so runs before a rollback never count after it.
    """
    rollback, span = incident.rollback(), span_seconds(windows)
    return [
        run
        for run in runs(incident.folder)
        if (before is None or run.number < before)
        and (facts := run.facts()) is not None
        and (rollback is None or facts.zero == zero)
        # Of a clock that was set while the machine was down, nothing is known: then they do not count.
        and abs(at.seconds_since(facts.started)) <= span
    ]


def newest_beginning(incident: Incident) -> Moment:
    """Return when the newest run of phases began; the incident's own beginning without one."""
    for run in reversed(runs(incident.folder)):
        facts = run.facts()
        if facts is not None and not run.plan().keys().isdisjoint(PHASES):
            return facts.started
    return incident.started


def tally(incident: Incident, windows: Windows, wrong: Sequence[str] = ()) -> RunVerdict:
    """Return the verdict of `incident` from the latest run of each phase.

    A phase that has not run since the phase before it ran again does not count, nor one of another span than
    the newest run. The verdict is *passed* only if all four phases passed in full, behind their gates. A
    rollback, if there was one, must have passed. The target's downtime must be within its objective, and
    every phase within its window. A change's record is judged by its newest run alone: an hour-old result may
    no longer hold. `wrong` is what does not hold of the record, in sentences: then nothing is known.
    """
    altered = [f"the record does not hold: {text}" for text in wrong]
    if incident.kind is IncidentKind.CHANGE:
        return _tally_steps(incident, altered)
    rollback = incident.rollback()
    zero = rollback.finished if rollback is not None else incident.started
    # The four phases are usually in one run; read its results only once.
    results_of, plan_of = cache(Run.results), cache(Run.plan)
    counted = runs_of_span(incident, zero, newest_beginning(incident), windows)
    phases: dict[str, PhaseVerdict] = {}
    runs_of: dict[str, Run] = {}
    partial = altered
    notes: list[str] = []
    finished = zero
    oldest = 0
    for name in PHASES:
        run = next((r for r in reversed(counted) if name in plan_of(r) and r.number >= oldest), None)
        window = getattr(windows, name)
        if run is None:
            partial.append(f"{name} has not run")
            continue
        oldest, runs_of[name] = run.number, run
        planned, results = plan_of(run)[name], results_of(run)
        phases[name] = stage_verdict(planned, results, (window.start, window.end))
        notes += _notes(planned.checks, results)
        ends = [results[check].finished for check in planned.checks if check in results]
        finished = max([finished, *ends], key=lambda moment: moment.seconds_since(zero))
        if planned.partial is not None:
            partial.append(f"{name} ran in part only ({planned.partial})")
        facts = run.facts()
        if facts is None or not facts.gated:
            partial.append(f"{name} ran without its gate")
    late_phases = lateness_of(incident, runs_of, windows, results_of)
    late, downtime = judged_downtime(incident)
    if late is None:
        partial.append(f"how long the target was down is unknown ({downtime})")
    verdicts = [phase.verdict for phase in phases.values()]
    verdicts += incident.rollback_verdicts()
    if partial:
        # An unverified part stays unknown, whatever the other results.
        verdicts.append(Verdict.BROKEN)
    found = combine(verdicts)
    known = late is not None
    late = bool(late) and found is Verdict.PASSED
    if known and downtime is not None and not late:
        notes.append(downtime)
    return RunVerdict(
        incident=incident.id,
        target=incident.target,
        verdict=Verdict.FAILED if late or late_phases is not None else found,
        phases=phases if late_phases is None else _marked(phases, late_phases),
        rollback=RollbackVerdict(rollback.verdict, rollback.seconds) if rollback else None,
        verified_seconds=round(finished.seconds_since(rollback.started), 3) if rollback else None,
        downtime_seconds=downtime_seconds(incident),
        started=rollback.started.wall if rollback else incident.started.wall,
        finished=finished.wall,
        records=rollback.records if rollback else None,
        partial=tuple(partial),
        notes=tuple(dict.fromkeys(notes)),
        late=downtime if late else None,
        late_phases=None if late_phases is None else late_phases.text,
        found=None if late_phases is None else found,
        blind=(rollback.blind or None) if rollback else None,
    )


def _marked(phases: Mapping[str, PhaseVerdict], late: Lateness) -> dict[str, PhaseVerdict]:
    """Return the verdicts of `phases`, with those that were late as failed."""
    return {
        name: replace(phase, verdict=Verdict.FAILED, late=True) if name in late.phases else phase
        for name, phase in phases.items()
    }


def _tally_steps(incident: Incident, altered: Sequence[str]) -> RunVerdict:
    """Return the verdict of the gate before a migration: *passed* only if all steps passed in full."""
    counted = [run for run in runs(incident.folder) if run.facts() and run.plan()]
    run = counted[-1] if counted else None
    plan, results = (run.plan(), run.results()) if run else ({}, {})
    steps = {name: stage_verdict(plan[name], results, None) for name in STEPS if name in plan}
    partial = [*altered, *(f"{name} has not run" for name in STEPS if name not in plan)]
    partial += [f"{name} ran in part only ({plan[name].partial})" for name in steps if plan[name].partial]
    verdicts = [step.verdict for step in steps.values()]
    if partial:
        verdicts.append(Verdict.BROKEN)
    facts = run.facts() if run else None
    started = facts.started if facts is not None else incident.started
    ends = [result.finished for result in results.values()]
    finished = max([started, *ends], key=lambda moment: moment.seconds_since(started))
    return RunVerdict(
        incident=incident.id,
        target=incident.target,
        verdict=combine(verdicts),
        phases=steps,
        rollback=None,
        verified_seconds=None,
        started=started.wall,
        finished=finished.wall,
        partial=tuple(partial),
        notes=_notes(results, results),
    )


@dataclass(frozen=True, slots=True)
class Lateness:
    """The late `phases` of an incident, and their lateness in words."""

    phases: frozenset[str]
    text: str


def lateness_of(
    incident: Incident,
    runs_of: Mapping[str, Run],
    windows: Windows,
    results_of: Callable[[Run], Mapping[str, CheckResult]],
) -> Lateness | None:
    """Return the lateness of phases, each with its run; None if none is late."""
    late: dict[str, str] = {}
    missed: list[CheckResult] = []
    for phase, run in runs_of.items():
        results = [result for result in results_of(run).values() if result.phase == phase]
        missed += [one for one in results if one.verdict is Verdict.BLOCKED and one.means is Meaning.LATE]
        text = _after_its_window(run, phase, results, getattr(windows, phase).end)
        if text is not None:
            late[phase] = f"{phase}: {text}"
    if not late and not missed:
        return None
    source = "end of the rollback" if incident.rollback() is not None else "start of the session"
    texts = [f"{'; '.join(late.values())} (from {source})"] if late else []
    if missed:
        texts.append(f"{missed[0].reason}: {len(missed)} checks")
    return Lateness(frozenset(late) | {result.phase for result in missed}, "; ".join(texts))


def _after_its_window(run: Run, phase: str, results: Sequence[CheckResult], window: float) -> str | None:
    """Return when a phase began and ended, in words, if that was after its window's end, else None."""
    facts, began = run.facts(), run.begun(phase)
    if facts is None or began is None:
        # It has not begun.
        return None
    begun = began.seconds_since(facts.zero)
    ends = [one.finished.seconds_since(facts.zero) for one in results if one.verdict is not Verdict.BLOCKED]
    done = max(ends, default=begun)
    # In the precision that is shown.
    if round(max(begun, done), 1) <= window:
        return None
    text = f"expected done within {window:g} s, observed begun after {begun:.1f} s"
    return f"{text}, done after {done:.1f} s" if ends else text


def run_verdicts(run: Run) -> list[Verdict]:
    """Return the verdict of every check that `run` planned; *broken* for a check that never reported."""
    results = run.results()
    return [
        results[check].verdict if check in results else Verdict.BROKEN
        for planned in run.plan().values()
        for check in planned.checks
    ]


def _notes(checks: Iterable[str], results: Mapping[str, CheckResult]) -> tuple[str, ...]:
    """Return what `checks` noted, each text once."""
    notes = (note for check in checks if check in results for note in results[check].notes)
    return tuple(dict.fromkeys(note.text for note in notes))


def stage_verdict(
    planned: Planned, results: dict[str, CheckResult], window: tuple[float, float] | None
) -> PhaseVerdict:
    """Return the verdict of one stage of one run, from its `planned` checks and the reported `results`."""
    verdicts = [results[c].verdict if c in results else Verdict.BROKEN for c in planned.checks]
    count = Counter(verdicts)
    red = [pair for pair in zip(planned.checks, verdicts, strict=True) if pair[1] is not Verdict.PASSED]
    # Blocked checks come last: they name the cause elsewhere, and a failure in this stage says more.
    red.sort(key=lambda pair: pair[1] is Verdict.BLOCKED)
    first = [
        FirstRed(check, results[check].reason if check in results else NEVER_REPORTED) for check, _ in red[:1]
    ]
    return PhaseVerdict(
        verdict=combine(verdicts),
        seconds=_span([results[check] for check in planned.checks if check in results]),
        window=window,
        checks=CheckCounts(**{verdict.value: count[verdict] for verdict in Verdict}),
        first=first[0] if first else None,
        partial=planned.partial,
    )


def _span(results: Sequence[CheckResult]) -> float:
    """Return the seconds from the first check's start to the last one's end; blocked checks took none."""
    ran = [result for result in results if result.verdict is not Verdict.BLOCKED]
    ends = [result.finished.seconds_since(ran[0].finished) for result in ran]
    starts = [end - result.seconds for end, result in zip(ends, ran, strict=True)]
    return round(max(ends) - min(starts), 3) if ran else 0.0
