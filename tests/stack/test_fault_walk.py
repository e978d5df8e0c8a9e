"""Every fault of a store in the real stack, one by one; `./run faults` does some of them, or all."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.terminal.progress import Progress
from staging.rounds import Round
from staging.stack.stack import Stack
from tests.stack.fault_round import FAULTS, run_faults

# About as many minutes as the faults take, with runs without one before and after them.
MINUTES = {
    "mysql": 5,
    "mongodb": 4,
    "redis": 3,
    "s3": 3,
    "kafka": 5,
    "qdrant": 4,
    "milvus": 6,
    "references": 1,
}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "store", [pytest.param(store, marks=pytest.mark.long(minutes=MINUTES[store])) for store in MINUTES]
)
def test_every_fault_of_a_store_is_caught_and_nothing_else_raises_an_alarm(
    stack: Stack, tmp_path: Path, store: str
) -> None:
    faults = [fault for fault in FAULTS if fault.subject == store]
    found = Round("faults", tmp_path / "faults.json")
    with Progress() as progress:
        run_faults(stack, tmp_path, faults, 1, progress, found)
    assert found.passed, found.results


def test_every_store_of_the_catalogue_is_walked() -> None:
    assert {fault.subject for fault in FAULTS} == set(MINUTES)
