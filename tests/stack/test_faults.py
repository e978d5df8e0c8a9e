"""Faults of every store, sent through phase 4 as `./run faults` does: one of each kind, and all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.terminal.progress import Progress
from staging.rounds import Round, chosen
from staging.stack.stack import Stack
from tests.stack.fault_round import FAULTS, run_faults

# Of each store two that stand in turn, and one of schemas; and what is between stores. What else a reader
# sees its contract shows.
SOME = (
    *("mysql-lost", "mysql-the-last-bit-of-a-DOUBLE", "mysql-a-view-added"),
    *("mongodb-added", "mongodb-64-bits", "mongodb-index-gone"),
    *("redis-lost", "redis-a-score", "redis-a-library-more"),
    *("s3-added", "s3-one-bit", "s3-versioning"),
    *("kafka-lost", "kafka-an-offset-reset", "kafka-a-setting"),
    *("qdrant-vectors-of-other-records", "qdrant-an-index-of-few-links", "qdrant-a-collection-added"),
    *("milvus-added", "milvus-an-index-of-few-links", "milvus-an-alias-moved"),
    *("postgresql-added", "postgresql-rows-beyond-the-index", "postgresql-a-policy"),
    "references-*",
)


def caught(stack: Stack, folder: Path, patterns: tuple[str, ...], clean_runs: int) -> None:
    found = Round("faults", folder / "faults.json")
    with Progress() as progress:
        run_faults(stack, folder, chosen(FAULTS, patterns), clean_runs, progress, found)
    assert found.passed, [result for result in found.results if result.wrong]


# Entities that are put back have other keys.
@pytest.mark.usefixtures("captured_anew")
def test_a_fault_of_each_kind_is_caught_by_its_check_and_taken_back(stack: Stack, tmp_path: Path) -> None:
    caught(stack, tmp_path, SOME, 0)


@pytest.mark.usefixtures("captured_anew")
@pytest.mark.timeout(3600)
@pytest.mark.long(minutes=15)
def test_every_fault_is_caught_and_nothing_else_raises_an_alarm(stack: Stack, tmp_path: Path) -> None:
    caught(stack, tmp_path, (), 1)
