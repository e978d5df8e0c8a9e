"""Verdicts and their combination: true < unknown < false."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rollproof.errors import ExitCode


class Verdict(StrEnum):
    """The state of a claim.

    `PASSED`: it was verified and holds. `FAILED`: it was verified and does not hold. `BROKEN`: it could not
    be verified. `BLOCKED`: it was not tried, because something before it did not pass.
    """

    PASSED = "passed"
    FAILED = "failed"
    BROKEN = "broken"
    BLOCKED = "blocked"


_SEVERITY = {Verdict.PASSED: 0, Verdict.BLOCKED: 1, Verdict.BROKEN: 2, Verdict.FAILED: 3}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of `verdicts`; without any, *broken*: nothing was verified."""
    return max(verdicts, key=_SEVERITY.__getitem__, default=Verdict.BROKEN)


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the sum of `verdicts`: the worst, with *broken* for blocked, since untried means unknown."""
    found = worst(verdicts)
    return Verdict.BROKEN if found is Verdict.BLOCKED else found


def verdict_of(code: ExitCode) -> Verdict:
    """Return the verdict that a command ends with by its exit code; *broken* for all that are no verdict."""
    return {ExitCode.VERIFIED: Verdict.PASSED, ExitCode.FAILED: Verdict.FAILED}.get(code, Verdict.BROKEN)


def code_of_verdict(verdict: Verdict) -> ExitCode:
    """Return the exit code of a command that ends with `verdict`: see `verdict_of`."""
    return {Verdict.PASSED: ExitCode.VERIFIED, Verdict.FAILED: ExitCode.FAILED}.get(verdict, ExitCode.BROKEN)


# A field that `rollproof.system.record_files` leaves out at its default.
_UNSAID = {"left out": True}


@dataclass(frozen=True, slots=True)
class CheckCounts:
    """The number of checks with each verdict."""

    passed: int = 0
    failed: int = 0
    broken: int = 0
    blocked: int = 0


@dataclass(frozen=True, slots=True)
class FirstRed:
    """The first check that did not pass, and its message."""

    check: str
    reason: str


@dataclass(frozen=True, slots=True)
class PhaseVerdict:
    """Verdict of one phase. `seconds` run from its first check's start to its last check's end.

    `window` is the profile's, None for a step before a migration. `first` is the first check in the order of
    the plan that did not pass, with its reason; None when all did.
    `partial` says why not every check of the phase was planned; None when every one was.
    `late` says that the phase was, which makes it failed whatever its checks found.
    """

    verdict: Verdict
    seconds: float
    window: tuple[float, float] | None
    checks: CheckCounts
    first: FirstRed | None = field(default=None, metadata=_UNSAID)
    partial: str | None = field(default=None, metadata=_UNSAID)
    late: bool = field(default=False, metadata=_UNSAID)


@dataclass(frozen=True, slots=True)
class RollbackVerdict:
    """How the rollback that is being verified ended, and how long it took."""

    verdict: Verdict
    seconds: float


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """Verdict of an incident as far as it is known.

    `partial` lists why the verdict does not cover everything: a phase that did not run, a partial selection,
    a run without gates. It is empty when it does. `notes` is what checks said whatever their result, such as
    that they only sampled. `verified_seconds` runs from the start of the rollback to the end of the last
    check, None without a rollback; `downtime_seconds` from the first sign of the outage to the verified end,
    as in the post-mortem, None until all is verified. Times are ISO 8601 in UTC. `late` is why it failed
    although all of it was verified and holds: the downtime exceeded its objective. It is None if it did not,
    or if something else is wrong. `late_phases` says which phases were later than their windows, None if none
    was; `found` is then the verdict on what was found, late or not. `records` is what became of the restored
    stores' records. `blind` names the stores where a writer may have been unseen during the restore, each
    with the reason; None if nowhere. `signature` is the fingerprint of the SSH key that signs the record, or
    "unsigned".
    """

    incident: str
    target: str
    verdict: Verdict
    phases: Mapping[str, PhaseVerdict]
    rollback: RollbackVerdict | None
    verified_seconds: float | None
    started: str
    finished: str
    downtime_seconds: float | None = field(default=None, metadata=_UNSAID)
    records: Mapping[str, int] | None = field(default=None, metadata=_UNSAID)
    partial: tuple[str, ...] = field(default=(), metadata=_UNSAID)
    notes: tuple[str, ...] = field(default=(), metadata=_UNSAID)
    late: str | None = field(default=None, metadata=_UNSAID)
    late_phases: str | None = field(default=None, metadata=_UNSAID)
    found: Verdict | None = field(default=None, metadata=_UNSAID)
    blind: Mapping[str, str] | None = field(default=None, metadata=_UNSAID)
    signature: str = "unsigned"

    @property
    def unseen(self) -> tuple[str, ...]:
        """The stores where a writer may have been unseen, each with the reason, in words."""
        return tuple(f"{store}: {reason}" for store, reason in (self.blind or {}).items())

    def said(self, *, green: bool) -> Verdict:
        """Return the verdict that agrees with the exit code of a run, of which `green` says that it passed.

        A run of one phase may pass in a record that is not verified as a whole.
        """
        return Verdict.PASSED if green else self.verdict

    @property
    def verified(self) -> bool:
        """Whether everything was verified and holds, however late, and however long the target was down."""
        return self.late is not None or (self.found or self.verdict) is Verdict.PASSED


def blind_at(stores: Collection[str]) -> str:
    """Return the end of a line on a rollback: the `stores` where a writer may have been unseen, or ""."""
    return f"; blind to writers at {', '.join(sorted(stores))}" if stores else ""
