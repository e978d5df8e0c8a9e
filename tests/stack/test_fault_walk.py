"""Every fault of the catalogue in the real stores, one by one; `./run faults` does some of them, or all."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.terminal.progress import Progress
from staging.faults.catalogue import FAULTS
from staging.faults.trials import Trials, run_faults
from staging.rounds import Round
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
    faults = [fault for fault in FAULTS if fault.store == store]
    found = Round("faults", tmp_path / "faults.json")
    with Progress() as progress:
        run_faults(Trials(stack, tmp_path), faults, 1, progress, found)
    assert found.passed, found.results
    assert {result.name for result in found.results} >= {fault.name for fault in faults}


def test_every_store_of_the_catalogue_is_walked() -> None:
    assert {fault.store for fault in FAULTS} == set(MINUTES)
