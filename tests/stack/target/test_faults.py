"""Faults of every store, sent through phase 4 as `./run faults` does: one of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.terminal.progress import Progress
from staging.rounds import Round, chosen
from staging.stack.stack import Stack
from tests.stack.fault_round import FAULTS, run_faults

# Of each kind one, of another store each. What readers see their contract shows.
SOME = (
    *("mysql-lost", "mongodb-index-gone", "kafka-an-offset-reset"),
    *("qdrant-an-index-of-few-links", "references-files_of_documents"),
)


def caught(stack: Stack, folder: Path, patterns: tuple[str, ...], clean_runs: int) -> None:
    found = Round("faults", folder / "faults.json")
    with Progress() as progress:
        run_faults(stack, folder, chosen(FAULTS, patterns), clean_runs, progress, found)
    assert found.passed, [result for result in found.results if result.wrong]


# Entities that are put back have other keys.
@pytest.mark.usefixtures("captured_again")
def test_a_fault_of_each_kind_is_caught_by_its_check_and_taken_back(stack: Stack, tmp_path: Path) -> None:
    caught(stack, tmp_path, SOME, 0)
