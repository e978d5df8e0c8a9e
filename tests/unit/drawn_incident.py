"""An incident of 25 minutes that never was: errors rise, it is decided, rolled back in 45 s, and verified."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reports.verdict.verdict import write_verdict
from rollproof.incident.incident import Incident, RollbackRecord, load_incident
from rollproof.incident.journal import FIRST, hash_of
from rollproof.incident.ledger import Planned, Result, Run
from rollproof.incident.tally import tally
from rollproof.monitoring.samples import Sample
from rollproof.profile.profile import Windows
from rollproof.system.clock import Moment
from rollproof.system.files import canonical_json, write_whole
from rollproof.system.record_files import as_json
from rollproof.verdict import Verdict
from tests.unit.made_samples import BEAT, MONITOR, WELL, Probes, named, requests, value

IDENTITY = "20260314T091000Z-staging-0a1b"
DAWN = datetime(2026, 3, 14, 9, 10, tzinfo=UTC)
KEPT = {
    "kafka": (121, 0, 0, 0),
    "milvus": (1204, 0, 0, 17),
    "minio": (117, 0, 0, 1),
    "mongodb": (20_090, 1, 14, 113),
    "mysql": (140_233, 212, 38, 3),
    "qdrant": (0, 0, 0, 118),
    "redis": (10, 0, 1, 40),
}
CHECKS = {"phase1": 14, "phase2": 11, "phase3": 9, "phase4": 52}
BEGAN = {"phase1": 3.0, "phase2": 10.0, "phase3": 17.0, "phase4": 31.0}
TOOK = {"phase1": 5.2, "phase2": 4.1, "phase3": 12.5, "phase4": 24.0}


def moment(seconds: float) -> Moment:
    """Return the moment that many seconds after the incident was opened."""
    wall = (DAWN + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
    return Moment(wall=wall, since_boot=10_000.0 + seconds, boot="made")


@dataclass
class Drawn:
    """The folder of the incident, and what makes its record other than it is at first."""

    folder: Path

    @property
    def incident(self) -> Incident:
        return load_incident(self.folder)

    def journal(self, name: str, entries: Iterable[tuple[float, str, Mapping[str, Any]]]) -> None:
        """Write a journal whose chain holds."""
        lines, previous, number = [], FIRST, -1
        for number, (seconds, event, details) in enumerate(entries):
            record = {
                "sequence": number,
                "at": moment(seconds).record(),
                "event": event,
                "previous": previous,
                **details,
            }
            previous = record["hash"] = hash_of(record)
            lines.append(json.dumps(record, sort_keys=True))
        path = self.folder / name
        path.write_text("".join(f"{line}\n" for line in lines))

    def sampled(
        self, of: Callable[[float], Probes] | None = None, *, first: float = -900, last: float = 600
    ) -> None:
        """Write samples, a beat apart, with what `of` says of that second."""
        lines = []
        for number in range(round((last - first) / BEAT) + 1):
            seconds = first + number * BEAT
            probes = named({**WELL, **(of or _seen)(seconds)})
            sample = Sample("staging", MONITOR, number, moment(seconds), 0.001, 0, probes)
            lines.append(json.dumps(as_json(sample)))
        (self.folder / "samples.jsonl").write_text("".join(f"{line}\n" for line in lines))

    def accounted(self, accounts: Mapping[str, Mapping[str, Any]]) -> None:
        """Write what became of the records of each store, but not their sum."""
        window = self.folder / "lost-window"
        window.mkdir(exist_ok=True)
        (window / "accounting.json").write_bytes(canonical_json(accounts))

    def rolled_back(self, **changes: Any) -> None:  # noqa: ANN401 - any field of the record
        """Write how the rollback ended."""
        counts = {name: sum(store[place] for store in KEPT.values()) for place, name in enumerate(_NAMES)}
        record = RollbackRecord(
            commit="4f2a9c17d03b5e6f",
            verdict=Verdict.PASSED,
            seconds=45.2,
            started=moment(12),
            finished=moment(57.2),
            records={**counts, "unaccounted": 0},
        )
        self.incident.write_rollback(replace(record, **changes))

    def verified(self, verdicts: Mapping[str, Verdict] | None = None) -> None:
        """Write a run of the phases, and its verdict; one check of those in `verdicts` came to that."""
        run = Run.begin(self.folder, moment(57.2), gated=True)
        facts = {**as_json(run.facts()), "started": moment(58).record()}
        write_whole(run.folder / "run.json", canonical_json(facts))
        names = {
            phase: [f"checks/test_{phase}.py::test_{n}" for n in range(count)]
            for phase, count in CHECKS.items()
        }
        run.write_plan({phase: Planned(tuple(checks)) for phase, checks in names.items()})
        writer = run.writer()
        for phase, checks in names.items():
            each = TOOK[phase] / len(checks)
            for number, check in enumerate(checks):
                wrong = (
                    (verdicts or {}).get(phase, Verdict.PASSED)
                    if number == len(checks) // 2
                    else Verdict.PASSED
                )
                end = moment(57.2 + BEGAN[phase] + each * (number + 1))
                writer.append(
                    Result(check, phase, wrong, each, "" if wrong is Verdict.PASSED else "wrong", end)
                )
        writer.close()
        write_verdict(self.folder, tally(self.incident, Windows()))

    def responded(self) -> None:
        """Write the journals of response and rollback."""
        bad = {"first_bad": moment(-255).record(), "monitored": "yes"}
        met = {
            "band": "errors",
            "severity": "critical",
            "standing": "met",
            "text": "82 % of 310",
            "beats": [1, 2],
        }
        findings = {"severity": "critical", "findings": [met]}
        wanted = {"kind": "emergency", "names": [], "commit": "4f2a9c17d03b5e6f", "budget_seconds": 300.0}
        step = "stop the application"
        self.journal(
            "response.jsonl",
            [
                (1, "assessed", {"severity": "critical", "findings": findings, **bad}),
                (
                    1.2,
                    "decided",
                    {
                        "severity": "critical",
                        "action": "rollback emergency",
                        "names": [],
                        "reason": "data is lost",
                    },
                ),
                (9, "agreed", {"by": "Ada Lovelace"}),
                (11, "rolling back", {"action": "rollback emergency"}),
                (57.5, "rolled back", {"code": 0.0}),
                (57.6, "verifying", {}),
                (114, "verified", {"code": 0.0}),
                (114.1, "ended", {"ending": "resume operations", "reason": "the rollback is verified"}),
            ],
        )
        self.journal(
            "journal.jsonl",
            [
                (12, "rollback began", {**wanted, "head": "9be1c0ffee00"}),
                (12.5, "started", {"step": step}),
                (16, "ended", {"step": step, "began": 1, "seconds": 3.5, "result": "4 containers"}),
            ],
        )


_NAMES = ("kept", "restored", "exported", "revived")


def drawn_incident(folder: Path) -> Drawn:
    """Make the incident below `folder`, with all that pictures are drawn from."""
    made = Drawn(folder / IDENTITY)
    made.folder.mkdir(parents=True)
    record = {"version": 1, "target": "staging", "started": moment(0).record(), "kind": "incident"}
    (made.folder / "incident.json").write_bytes(canonical_json(record))
    made.sampled()
    made.responded()
    made.rolled_back()
    made.accounted({store: account(*counts) for store, counts in KEPT.items()})
    made.verified()
    (made.folder / "closed.json").write_bytes(canonical_json({"closed": moment(114).record()}))
    return made


def account(*counts: int, unaccounted: int = 0, unknown: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the account of a store as a rollback writes it."""
    named = dict(zip(_NAMES, counts, strict=False))
    return {**named, "unaccounted": unaccounted, "first": [], "unknown": dict(unknown or {})}


def _seen(seconds: float) -> Probes:
    """Return what a monitor saw: errors from four minutes before on, nothing while all is stopped."""
    wave = math.sin(seconds / 23) + math.sin(seconds / 7)
    if 14 <= seconds <= 55:
        silent = value(None, ok=None)
        return {"requests": silent, "page": silent, "health": silent, "connections": silent}
    bad = min(1.0, max(0.0, (seconds + 270) / 240)) if seconds < 57 else 0.0
    asked = 24 + round(4 * wave)
    return {
        "requests": requests(
            errors=round(asked * 0.84 * bad),
            asked=asked,
            log_ins=4 if seconds % 25 == 0 else 0,
            failed=3 if bad > 0.6 and seconds % 25 == 0 else 0,
            p95=120 + 20 * wave + 4200 * bad**2,
        ),
        "page": value(40 + 6 * wave + 900 * bad),
        "health": value(22 + 3 * wave + 60 * bad),
        "memory": value(43 + wave + 38 * bad),
        "disk": value(61 - 7 * bad),
        "connections": value(9 + wave + 71 * bad),
    }
