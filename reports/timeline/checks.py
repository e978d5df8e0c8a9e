"""The checks in a timeline: each stage of each run, and each check that did not pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from reports.incident.contradictions import RecordedRun
from reports.incident.converted import Converter, line_of
from reports.incident.event import Event, Kind
from reports.incident.incident_record import IncidentRecord
from reports.text.stages import TITLES
from rollproof.incident.ledger import Planned, Result
from rollproof.incident.tally import stage_verdict
from rollproof.record_names import LEDGER
from rollproof.system.clock import Moment
from rollproof.verdict import PhaseVerdict, Verdict

NEVER_REPORTED = "it was planned and never reported"


def check_events(record: IncidentRecord, converter: Converter) -> Iterator[Event]:
    """Yield the stages, and the checks that failed, broke or never reported."""
    for run in record.runs:
        source = f"{LEDGER}/{run.number:04d}"

        def stage(item: tuple[str, Planned], run: RecordedRun = run, source: str = source) -> list[Event]:
            return [_stage(*item, run, converter, source)]

        def check(item: tuple[str, Planned], run: RecordedRun = run, source: str = source) -> list[Event]:
            return list(_checks(item[1], run, converter, source))

        yield from converter.each(run.plan.items(), stage, source)
        yield from converter.each(run.plan.items(), check, source)


def _stage(name: str, planned: Planned, run: RecordedRun, converter: Converter, source: str) -> Event:
    verdict = stage_verdict(planned, dict(run.results), None)
    done = [_spanned(run.results[c], converter) for c in planned.checks if c in run.results]
    ran = [(begin, end) for begin, end, blocked in done if not blocked] or [(b, e) for b, e, _ in done]
    start = min((begin for begin, _ in ran), default=None)
    if start is None:
        start = converter.at(_required(run))
    missing = sum(check not in run.results for check in planned.checks)
    partial = f", in part only ({planned.partial})" if planned.partial else ""
    limit = _limit(run.limits, name)
    deadline = None
    if limit is not None and run.zero is not None:
        # Of a phase that began after its window, nothing is left.
        deadline = max(0.0, (converter.at(run.zero) + timedelta(seconds=limit) - start).total_seconds())
    return Event(
        at=start,
        kind=Kind.PHASE,
        text=line_of(f"{TITLES.get(name, name)}, run {run.number}: {counted(verdict, missing)}{partial}"),
        source=source,
        verdict=verdict.verdict,
        seconds=verdict.seconds,
        deadline=deadline,
    )


def counted(verdict: PhaseVerdict, missing: int) -> str:
    """Return the counts of results in words; `missing` counts the broken checks that never reported."""
    counts = {
        "passed": verdict.checks.passed,
        "failed": verdict.checks.failed,
        "broken": verdict.checks.broken - missing,
        "never reported": missing,
        "blocked": verdict.checks.blocked,
    }
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no checks"


def _checks(planned: Planned, run: RecordedRun, converter: Converter, source: str) -> Iterator[Event]:
    for check in planned.checks:
        result = run.results.get(check)
        if result is None:
            at, text = converter.at(_required(run)), line_of(f"{check}: {NEVER_REPORTED}")
            yield Event(at, Kind.CHECK, text, source, Verdict.BROKEN)
        elif result.verdict in {Verdict.FAILED, Verdict.BROKEN}:
            begin, _, _ = _spanned(result, converter)
            text = line_of(f"{check}: {result.reason}")
            yield Event(begin, Kind.CHECK, text, source, result.verdict, seconds=result.seconds)


def _spanned(result: Result, converter: Converter) -> tuple[datetime, datetime, bool]:
    end = converter.at(result.finished)
    return end - timedelta(seconds=result.seconds), end, result.verdict is Verdict.BLOCKED


def _required(run: RecordedRun) -> Moment:
    if run.started is None:
        raise ValueError(f"run {run.number} does not say when it began")
    return run.started


def _limit(limits: Mapping[str, Any], name: str) -> float | None:
    window = limits.get("windows", {}).get(name)
    return None if window is None else float(window[1])
