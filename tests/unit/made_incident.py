"""An incident as the real writers leave it, on a clock that a test turns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rollback_actions.respond.response import assessed_details
from rollback_actions.session.session import Journal
from rollproof.errors import ExitCode
from rollproof.incident import downtime as response
from rollproof.incident.downtime import ResponseEnding, record_downtime
from rollproof.incident.incident import Incident, Origin, RollbackRecord, find_or_create_incident
from rollproof.incident.journal import DETECTED, Step, StepId
from rollproof.incident.ledger import CheckResult, Note, Planned, Run
from rollproof.incident.limits import limits_of
from rollproof.incident.rollback_request import RollbackKind
from rollproof.incident.rollbacks import ROLLBACK_BEGAN
from rollproof.incident.severity import assess
from rollproof.monitoring.assessment import Assessed, decision_by
from rollproof.planning.unfinished import UnfinishedFile
from rollproof.profile.bands import Bands
from rollproof.profile.profile import Target
from rollproof.record_names import CONTACTS, JOURNAL, LOST_WINDOW, RESPONSE, SAMPLES, UNFINISHED
from rollproof.system.clock import Moment
from rollproof.system.record_files import write_record
from rollproof.team.change import ACKNOWLEDGED
from rollproof.team.contact_record import ALERTED, ASSESSED, DECIDED, Alert
from rollproof.verdict import Verdict
from tests.unit.clock import Clock
from tests.unit.made_samples import BEAT, requests, samples, write_samples

COMMIT, BAD = "a" * 40, "b" * 40
RECORDS = {"kept": 1683, "restored": 3, "exported": 4, "revived": 292, "unaccounted": 0}
PHASES = ("phase1", "phase2", "phase3", "phase4")
SECRET_KEY = "session-of-a-user"  # noqa: S105 - a key of a user's record, which must not travel


@dataclass
class MadeIncident:
    """Writes one incident step by step; `incident.folder` is its folder."""

    target: Target
    clock: Clock
    identity: str = "one"
    incident: Incident = field(init=False)
    checks: ExitCode = ExitCode.VERIFIED

    def __post_init__(self) -> None:
        self.incident = find_or_create_incident(
            self.target.folders.incidents, self.target.name, self.identity
        )

    @property
    def folder(self) -> Path:
        return self.incident.folder

    def respond(self) -> None:
        """Respond to an error rate that is critical: assess, decide, agree, roll back, verify."""
        made = tuple(samples(14, lambda _: {"requests": requests(20)}, well_before=4))
        assessed = Assessed(assess(Bands(), made, BEAT), made, monitored=True)
        write_samples(self.folder / SAMPLES, made)
        journal = Journal(self.folder / RESPONSE, str)
        journal.write(response.ASSESSED, **assessed_details(assessed))
        decision = decision_by(self.target, assessed)
        details = {"action": decision.action, "names": decision.names, "reason": decision.reason}
        journal.write(response.DECIDED, severity=assessed.assessment.severity, **details)
        self.clock.turn(30)
        journal.write(response.AGREED, by="ada")
        journal.write(response.ROLLING_BACK, action=decision.action)
        journal.write(response.ROLLED_BACK, code=float(self.roll_back()))
        journal.write(response.VERIFYING)
        self.check(wrong=self.checks is not ExitCode.VERIFIED)
        journal.write(response.VERIFIED, code=float(self.checks))
        ending, reason, seconds = ResponseEnding.MANUAL, "the verification ended with exit code 1", None
        if self.checks is ExitCode.VERIFIED:
            rollback = self.incident.rollback()
            assert rollback is not None
            verified = Moment.now().seconds_since(rollback.started)
            downtime = record_downtime(self.target, self.incident, verified)
            assert downtime is not None
            ending, reason, seconds = ResponseEnding.RESUMED, "the rollback is verified", downtime.seconds
        limit = float(self.target.rto_seconds)
        journal.write(
            response.ENDED,
            ending=ending,
            reason=reason,
            downtime_seconds=seconds,
            objective_seconds=limit,
        )

    def watch(self, count: int = 14, well_before: int = 4, errors: float = 20) -> None:
        """Keep samples of a monitor, the last of now: some that are well, then `count` with failures."""
        made = samples(count, lambda _: {"requests": requests(errors)}, well_before=well_before)
        write_samples(self.folder / SAMPLES, made)

    def roll_back(self) -> ExitCode:
        """Roll back in 62 s; the start of the application takes longer than it should."""
        began, journal = Moment.now(), Journal(self.folder / JOURNAL, str)
        with journal.step(f"rollback emergency {COMMIT}", id=Step.ROLLBACK, user="ada", host="here", pid="1"):
            self.begin(journal)
            with self.step(journal, StepId(Step.STOP), 2.0, 10.0):
                pass
            with self.step(journal, StepId(Step.RESTORE, "mysql"), 40.0, 60.0) as result:
                result["result"] = "145 records"
            with self.step(journal, StepId(Step.RECREATE), 20.0, 15.0):
                pass
            window = self.folder / LOST_WINDOW
            window.mkdir(mode=0o700, exist_ok=True)
            (window / "users.jsonl").write_text('{"email": "someone@example.org"}\n')
            account = {**RECORDS, "first": [SECRET_KEY], "unknown": {"imagedb.big": "no time"}}
            (window / "accounting.json").write_text(json.dumps({"mysql": account}))
            self.write_rollback(began)
        return ExitCode.VERIFIED

    def begin(self, journal: Journal, *, kind: str = "emergency", names: Sequence[str] = ()) -> None:
        """Write that the rollback begins."""
        journal.write(
            ROLLBACK_BEGAN,
            kind=kind,
            names=[*names],
            commit=COMMIT,
            head=BAD,
            revisions=[BAD],
            budget_seconds=float(self.target.rollback_seconds),
            objective_seconds=float(self.target.rto_seconds),
        )

    @contextmanager
    def step(
        self, journal: Journal, step: StepId, seconds: float, deadline: float
    ) -> Iterator[dict[str, str | float]]:
        """Open a step that takes so long."""
        name = step.step.sentence(step.of)
        with journal.step(name, id=step.step, of=step.of, deadline_seconds=deadline) as result:
            yield result
            self.clock.turn(seconds)

    def write_rollback(
        self,
        began: Moment,
        verdict: Verdict = Verdict.PASSED,
        *,
        kind: RollbackKind = RollbackKind.EMERGENCY,
        names: tuple[str, ...] = (),
        records: dict[str, int] | None = RECORDS,
        blind: dict[str, str] | None = None,
    ) -> None:
        """Write how the rollback ended."""
        ended = Moment.now()
        self.incident.write_rollback(
            RollbackRecord(
                commit=COMMIT,
                verdict=verdict,
                seconds=ended.seconds_since(began),
                started=began,
                finished=ended,
                kind=kind,
                names=names,
                records=records,
                origin=Origin(BAD, (BAD,)),
                blind=blind or {},
            )
        )

    def cut_off(self) -> None:
        """Begin a rollback that is killed within a step."""
        journal = Journal(self.folder / JOURNAL, str)
        journal.write(
            "started", step=f"rollback emergency {COMMIT}", id=Step.ROLLBACK, user="ada", host="here", pid="1"
        )
        self.begin(journal)
        write_record(
            self.folder / UNFINISHED,
            UnfinishedFile(COMMIT, Moment.now(), RollbackKind.EMERGENCY),
        )
        journal.write("started", step="restore mysql", id=Step.RESTORE, of="mysql", deadline_seconds=60.0)

    def check(self, *, reported: int = 8, wrong: bool = False) -> Run:
        """Run two checks a phase, of which the first `reported` are; the last one is `wrong` then."""
        rollback = self.incident.rollback()
        zero = rollback.finished if rollback else Moment.now()
        run = Run.begin(self.folder, zero, gated=True, limits=limits_of(self.target))
        plan = {
            phase: Planned((f"checks/{phase}.py::test_a", f"checks/{phase}.py::test_b")) for phase in PHASES
        }
        run.write_plan(plan)
        writer, number = run.writer(), 0
        for phase, planned in plan.items():
            for check in planned.checks:
                number += 1
                if number > reported:
                    continue
                self.clock.turn(1.5)
                bad = wrong and number == reported
                verdict, reason = (
                    (Verdict.FAILED, "users: expected 3, observed 2") if bad else (Verdict.PASSED, "")
                )
                notes = (Note("blind spot: updated_at is excluded"),) if number == 1 else ()
                writer.write(CheckResult(check, phase, verdict, 1.5, reason, Moment.now(), notes))
        writer.close()
        return run

    def tell(self, *, name: str = "Ada") -> None:
        """Alert the engineer on call, who acknowledges a minute late; no channel takes the tech lead's."""
        journal = Journal(self.folder / CONTACTS, str)
        minutes = self.target.contacts.minutes.model_dump()
        about = {"target": self.target.name, "incident": self.identity}
        journal.write(DETECTED, **about, severity="critical", minutes=minutes)
        self._alert(journal, Alert.ON_CALL, "")
        self.clock.turn(180)
        journal.write(ACKNOWLEDGED, name=name)
        journal.write(DECIDED, name=name, text="roll back")
        for number in range(3):
            self._alert(journal, Alert.TECH_LEAD, f"HTTP {500 + number}")
        journal.write(ASSESSED, name=name, text="the index was dropped (root cause identified: yes)")

    def _alert(self, journal: Journal, alert: Alert, reason: str) -> None:
        place = {"channel": "json://here"}
        journal.write(
            ALERTED,
            alert=alert,
            **place,
            delivered=not reason,
            reason=reason,
            seconds=0.1,
            message="an incident",
        )
