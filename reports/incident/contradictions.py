"""Runs of checks as recorded, and the results of Allure that say otherwise.

A ledger and its results are written by different hands at the same time. Whoever changes one of them later
leaves the other as it was. Only whether a check passed is compared: what did not, has other names in Allure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.allure.recorded import recorded_results
from rollproof.errors import listed
from rollproof.incident.ledger import Planned, Result
from rollproof.record_names import RESULTS
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One run of checks: its start, its plan and its reported results.

    `started` and `zero` are None if the run does not say. `limits` are the profile's, by name, empty if an
    earlier version did not write them. `whole` is False if a part of the run could not be read.
    """

    number: int
    started: Moment | None
    zero: Moment | None
    gated: bool
    limits: Mapping[str, Any]
    plan: Mapping[str, Planned]
    results: Mapping[str, Result]
    whole: bool


def contradictions(folder: Path, runs: Sequence[RecordedRun]) -> Iterator[str]:
    """Yield, in sentences, the checks that passed by the ledger alone or by the results of Allure alone.

    The latest result counts, which is the one that the report shows; a check without any is left out, since
    Allure can be switched off.

    Raises:
        OSError: the results cannot be listed.
    """
    latest: dict[str, tuple[int, str]] = {}
    for one in recorded_results(folder / RESULTS):
        found = one.start, one.status
        latest[one.check] = max(latest.get(one.check, found), found)
    recorded = {
        check: run.results.get(check)
        for run in runs
        for planned in run.plan.values()
        for check in planned.checks
    }
    greener: dict[bool, list[str]] = {True: [], False: []}
    for check, result in sorted(recorded.items()):
        passed = result is not None and result.verdict is Verdict.PASSED
        if check in latest and (latest[check][1] == "passed") is not passed:
            greener[passed].append(check)
    for passed, checks in greener.items():
        if checks:
            by = (
                "passed by the ledger, and not by Allure"
                if passed
                else "passed by Allure, and not by the ledger"
            )
            yield f"{by}: {listed(checks, _SHOWN)}"
