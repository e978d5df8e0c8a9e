"""Every fault of the catalogue in the real stores, one by one; `./run faults` does some of them, or all."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.terminal.progress import Progress
from staging.faults.fault_catalogue import chosen
from staging.faults.fault_round import run_round
from staging.faults.fault_trial import Trials
from staging.stack.stack import Stack

# About as many minutes as the faults of a store take, with a run without one before and after them.
MINUTES = {"mysql": 4, "mongodb": 4, "redis": 2, "minio": 3, "kafka": 5, "qdrant": 3, "milvus": 5}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "store", [pytest.param(store, marks=pytest.mark.long(minutes=MINUTES[store])) for store in MINUTES]
)
def test_every_fault_of_a_store_is_caught_and_nothing_else_raises_an_alarm(
    stack: Stack, tmp_path: Path, store: str
) -> None:
    faults = [fault for fault in chosen([]) if fault.store == store]
    with Progress() as progress:
        found = run_round(
            Trials(stack, tmp_path),
            faults,
            clean_runs=1,
            scale=None,
            progress=progress,
            record=tmp_path / "faults.json",
        )
    assert found.passed, found.record()
    assert {trial.fault.name for trial in found.trials} == {fault.name for fault in faults}


def test_every_store_of_the_catalogue_is_walked() -> None:
    assert {fault.store for fault in chosen([])} == set(MINUTES)
