"""How a rollback went, for people: its end, its status, and what to type next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rollproof.application.client import kept_out
from rollproof.incident.incident import RollbackRecord
from rollproof.incident.rollback_request import RollbackKind, RollbackRequest
from rollproof.planning.advice import Advice
from rollproof.planning.status import LockState, Status, StepState, StepStatus
from rollproof.profile.profile import Target
from rollproof.record_names import ACCOUNTS, LOST_WINDOW
from rollproof.sealing.seal import SealState
from rollproof.system.clock import age, t_plus
from rollproof.system.command import Command
from rollproof.system.process import Life
from rollproof.team.contact_flow import Flow
from rollproof.team.contact_record import ContactRecord
from rollproof.verdict import Verdict, blind_at


@dataclass(frozen=True, slots=True)
class StatusRecord:
    """How the newest rollback went: `verdict` is *broken* until it is known.

    `kind`, `commit` and `names` are what was asked for, as far as that is known. `seconds` is how long its
    runs took, None before its end, and `idle_seconds` the time between them. `blind` are stores where a
    writer may have been unseen. `locked` says whether the target's lock has a holder, or None if it cannot
    be read. `doubts` are why the record does not hold.
    """

    incident: str
    folder: str
    kind: RollbackKind | None
    commit: str | None
    names: tuple[str, ...]
    runs: int
    steps: tuple[StepStatus, ...]
    verdict: Verdict
    recorded: Verdict | None
    seconds: float | None
    idle_seconds: float
    blind: tuple[str, ...]
    locked: bool | None
    lock: str
    record: str
    doubts: tuple[str, ...]
    next: str


def done_line(record: RollbackRecord) -> str:
    """Return how a rollback ended, in words."""
    return f"rollback: {_verdict(record.verdict, record.seconds, record.idle, sorted(record.blind))}"


def _verdict(verdict: Verdict, seconds: float, idle: float, blind: Sequence[str]) -> str:
    """Return the verdict in words, with the stores where a writer may have been unseen."""
    lay = f", and lay idle for {age(idle)} between its runs" if idle >= 1 else ""
    return f"{verdict} in {seconds:.1f} s{lay}{blind_at(blind)}"


def status_record(found: Status, lock: LockState, seal: SealState, advice: Advice) -> StatusRecord:
    """Return the record of `found`, with what to do next by the `lock`; `seal` is the state of its seal."""
    request, record = _request(found), found.record
    return StatusRecord(
        incident=found.incident.id,
        folder=str(found.incident.folder),
        kind=request.kind if request else None,
        commit=request.commit if request else None,
        names=request.names if request else (),
        runs=found.runs,
        steps=found.steps,
        verdict=found.verdict,
        recorded=record.verdict if record else None,
        seconds=round(record.seconds, 3) if record else None,
        idle_seconds=round(record.idle, 3) if record else 0.0,
        blind=tuple(sorted(record.blind)) if record else (),
        locked=None if lock.problem is not None else lock.holder is not None,
        lock=str(lock),
        record=str(seal),
        doubts=tuple(seal.doubts),
        next=_next(found, lock, advice),
    )


def status_lines(found: StatusRecord) -> Iterator[str]:
    """Yield the status for people; the last line says what to do next."""
    yield f"record: {found.record}"
    yield from (f"the record does not hold: {doubt}" for doubt in found.doubts)
    yield f"incident: {found.folder}"
    asked = found.kind and found.commit and RollbackRequest(found.kind, found.commit, found.names)
    yield f"rollback: {asked or 'unknown'}"
    if found.runs > 1:
        yield f"runs: {found.runs}"
    for step in found.steps:
        seconds = f" ({step.seconds:.1f} s)" if step.seconds is not None else ""
        text = f": {step.text}" if step.text else ""
        yield f"  {step.state:<8} {step.name}{seconds}{text}"
    yield f"verdict: {_ending(found)}"
    yield f"lock: {found.lock}"
    yield f"next: {found.next}"


def _ending(found: StatusRecord) -> str:
    if any(step.state is StepState.RUNNING for step in found.steps):
        return "not yet, it is running"
    if any(step.state is StepState.OPEN for step in found.steps):
        return "none yet; whether it runs cannot be known from here"
    if found.recorded is None or found.seconds is None:
        return "none, it was cut off"
    return _verdict(found.recorded, found.seconds, found.idle_seconds, found.blind)


def _request(found: Status) -> RollbackRequest | None:
    """Return what was asked for, or None if that is unknown."""
    if found.unfinished is not None:
        return found.unfinished.request
    return None if found.record is None else found.record.request


def _next(found: Status, lock: LockState, advice: Advice) -> str:
    if lock.life in {Life.RUNS, Life.UNKNOWN}:
        return _wait(found, lock, advice)
    if found.unfinished is not None:
        return f"see why ({_logs(found, advice)}), then resume: {advice.resume(take_over=lock.ended)}"
    return _done(found, advice)


def _done(found: Status, advice: Advice) -> str:
    """Return the next action if nothing is left to resume."""
    verify, folder = advice.verify(found.incident.id), found.incident.folder
    if any(step.state is StepState.BROKEN for step in found.steps):
        return f"keep {folder}, and verify the target: {verify}"
    records = (found.record and found.record.records) or {}
    if records.get("unaccounted") or records.get("unknown"):
        return f"look for records that are not accounted for: {folder / f'{LOST_WINDOW}*' / ACCOUNTS}"
    if found.verdict is not Verdict.PASSED:
        return "nothing is left to resume: decide on another rollback"
    if found.incident.closed and kept_out(advice.target.application):
        return f"it is verified, let users in: {advice.let_in()}"
    return "nothing: it is verified" if found.incident.closed else f"verify it: {verify}"


def _wait(found: Status, lock: LockState, advice: Advice) -> str:
    if lock.life is Life.RUNS:
        return f"wait for {lock.holder}, and ask again: {advice.status()}"
    then = advice.resume(take_over=True) if found.unfinished else advice.status()
    return f"see whether {lock.holder} still runs; when it has ended: {then}"


def _logs(found: Status, advice: Advice) -> Command:
    request = found.unfinished.request if found.unfinished else None
    target: Target = advice.target
    if request is None or not request.names:
        return advice.logs(target.application.services)
    stores = [s for name in request.names if name in target.stores for s in target.stores[name].services]
    return advice.logs(stores or request.names)


def contact_lines(flow: Flow, record: ContactRecord) -> Iterator[str]:
    """Yield the state of the flow: its steps, the last attempt of each alert by each channel, what is due."""
    yield f"{t_plus(flow.elapsed)}: {record.severity}"
    for step in flow.steps:
        when = f"by {t_plus(step.limit)}" if step.at is None else f"at {t_plus(step.at)}"
        late = "" if step.at is None or step.at <= step.limit else f", {step.at - step.limit:.0f} s late"
        yield f"{step.name}: {step.state} {when}{late}{f' ({step.text})' if step.text else ''}"
    for one in {(one.alert, one.channel): one for one in record.attempts}.values():
        how = "delivered" if one.delivered else f"NOT DELIVERED: {one.reason}"
        yield f"{one.alert}, channel {one.channel}: {how}"
    for due in flow.due:
        yield f"to be done now: {due.alert}, {due.because}"
