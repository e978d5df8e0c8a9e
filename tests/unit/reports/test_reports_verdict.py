"""The verdict as programs read it, and as people do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from reports.verdict.summary import lines
from reports.verdict.verdict import read_verdict, write_verdict
from rollproof.verdict import CheckCounts, FirstRed, PhaseVerdict, RollbackVerdict, RunVerdict, Verdict

PASSED = RunVerdict(
    incident="20261124T151500Z-staging-1a2b",
    target="staging",
    verdict=Verdict.PASSED,
    phases={
        "phase1": PhaseVerdict(Verdict.PASSED, 11.25, (0.0, 120.0), CheckCounts(34)),
        "phase2": PhaseVerdict(Verdict.PASSED, 6.5, (120.0, 180.5), CheckCounts(8)),
    },
    rollback=RollbackVerdict(Verdict.PASSED, 41.25),
    rto_seconds=98.375,
    started="2026-11-24T15:15:00.000+00:00",
    finished="2026-11-24T15:16:38.375+00:00",
)
CAUSE = FirstRed(
    "checks/a.py::test_answers[kafka]",
    "kafka: expected an answer, observed none (from 127.0.0.1)\nHINT: x",
)
BLOCKED = FirstRed("checks/b.py::test_login", "phase2 did not pass")
FAILED = replace(
    PASSED,
    verdict=Verdict.FAILED,
    phases={
        **PASSED.phases,
        "phase2": PhaseVerdict(
            Verdict.FAILED, 6.5, (120.0, 180.0), CheckCounts(6, 1, 1), first=CAUSE, partial="1 deselected"
        ),
        "phase3": PhaseVerdict(Verdict.BROKEN, 0.0, (180.0, 300.0), CheckCounts(blocked=3), first=BLOCKED),
    },
    rollback=None,
    rto_seconds=None,
    partial=("phase4 has not run",),
)
LATE = replace(
    PASSED,
    verdict=Verdict.FAILED,
    late="downtime, from a to b: expected at most 600 s, observed 700.0 s",
)


def test_a_verdict_is_written_in_the_agreed_form(tmp_path: Path) -> None:
    path = write_verdict(tmp_path, PASSED)

    assert path == tmp_path / "verdict.json"
    assert json.loads(path.read_text()) == {
        "incident": "20261124T151500Z-staging-1a2b",
        "target": "staging",
        "verdict": "passed",
        "phases": {
            "phase1": {
                "verdict": "passed",
                "seconds": 11.25,
                "window": [0, 120],
                "checks": {"passed": 34, "failed": 0, "broken": 0, "blocked": 0},
            },
            "phase2": {
                "verdict": "passed",
                "seconds": 6.5,
                "window": [120, 180.5],
                "checks": {"passed": 8, "failed": 0, "broken": 0, "blocked": 0},
            },
        },
        "rollback": {"verdict": "passed", "seconds": 41.25},
        "rto_seconds": 98.375,
        "signature": "unsigned",
        "started": "2026-11-24T15:15:00.000+00:00",
        "finished": "2026-11-24T15:16:38.375+00:00",
    }
    assert "[\n" in path.read_text()
    assert [entry.name for entry in tmp_path.iterdir()] == ["verdict.json"]


@pytest.mark.parametrize("verdict", [PASSED, FAILED, LATE], ids=["passed", "failed", "late"])
def test_a_verdict_is_read_as_it_was_written(tmp_path: Path, verdict: RunVerdict) -> None:
    write_verdict(tmp_path, verdict)

    assert read_verdict(tmp_path) == verdict


def _plain(verdict: RunVerdict, folder: Path) -> list[str]:
    return [f"{lead}{rest}" for lead, rest, _style in lines(verdict, folder)]


def test_the_summary_says_what_is_wrong(tmp_path: Path) -> None:
    write_verdict(tmp_path, FAILED)
    said = _plain(FAILED, tmp_path)
    assert len(said) <= 12
    assert said[-1] == "FAILED: something was verified, and it is wrong (staging)"
    assert (
        "  failed  Phase 2: Connectivity       6.5 s  window 120-180 s   6 passed, 1 failed, 1 broken" in said
    )
    assert "  broken  Phase 3: Functionality      0.0 s  window 180-300 s   3 blocked" in said
    assert "  not covered: phase4 has not run" in said
    assert said[-3:-1] == [f"  record  {tmp_path}: verdict.json", "  unsigned"]


def test_what_is_late_and_verified_says_that_nothing_else_is_wrong(tmp_path: Path) -> None:
    said = _plain(LATE, tmp_path)
    meaning = (
        "every check of all four phases ran and passed, but the target was down for longer than its objective"
    )
    assert said[-1] == f"FAILED: {meaning} (staging)"
    assert "  late    downtime, from a to b: expected at most 600 s, observed 700.0 s" in said
    assert json.loads(write_verdict(tmp_path, LATE).read_text())["late"] == LATE.late
    assert (LATE.verified, PASSED.verified, FAILED.verified) == (True, True, False)


BLIND = replace(
    PASSED,
    blind={"qdrant": "a store of its kind does not tell who is connected", "redis": "app@10.0.0.9 *may*"},
)


def test_where_a_writer_may_have_been_unseen_is_in_the_verdict_and_said(tmp_path: Path) -> None:
    path = write_verdict(tmp_path, BLIND)
    assert json.loads(path.read_text())["blind"] == BLIND.blind
    assert read_verdict(tmp_path) == BLIND
    said = "\n".join(f"{lead}{rest}" for lead, rest, _ in lines(BLIND, tmp_path))
    assert (
        "rollback passed in 41.2 s, verified after 98.4 s in all; blind to writers at qdrant, redis" in said
    )
