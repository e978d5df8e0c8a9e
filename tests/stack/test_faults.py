"""A data fault of each class in each store, as `./run faults` makes them all: it is caught and undone.

A class is a check of phase 4. `test_checks_phase4.py` has the classes of counts and of unrecorded
collections. `test_fault_walk.py` has all faults of the catalogue.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from staging.faults.catalogue import FAULTS, planted
from staging.faults.trials import Outcome, Trials
from staging.rounds import chosen
from staging.stack.stack import Stack
from staging.target.operators import Operators

OF_RECORDS = (
    *("mysql-bit-flipped", "mysql-unique-no-more", "mysql-trigger-left"),
    *("mongodb-integer-became-double", "mongodb-index-dropped", "mongodb-view-left"),
    "redis-last-digit-of-a-score",
    *("minio-object-of-the-same-size", "minio-versioning-suspended"),
    *("kafka-value-changed", "kafka-offset-reset"),
    *("qdrant-last-bit-of-a-vector", "qdrant-index-dropped", "qdrant-alias-left"),
    *("milvus-last-bit-of-a-vector", "milvus-alias-moved"),
)
# What changes records too is looked at by its own check alone.
OF_MEANING = (
    *("mysql-row-names-no-file", "mongodb-knowledge-base-names-no-file", "minio-object-deleted"),
    *("qdrant-point-names-no-file", "milvus-vector-names-no-file"),
    *("qdrant-embedded-by-another-model", "milvus-embedded-by-another-model"),
    "kafka-retention-changed",
)
OF_COUNTS = (
    *("mysql-table-renamed", "mysql-table-left", "mongodb-collection-renamed", "mongodb-collection-left"),
    *("redis-key-added", "minio-object-added", "kafka-topic-emptied", "kafka-topic-left"),
    *("qdrant-file-point-added", "qdrant-collection-left"),
    *("milvus-entity-added", "milvus-collection-renamed"),
)
# The application's many collections of Milvus take most of the time, and no fault here is in their records.
QUICK = "not colqwen"


def test_a_fault_of_every_class_is_among_these() -> None:
    classes = {(fault.store, fault.caught_by.partition("[")[0]) for fault in FAULTS}
    here = {
        (fault.store, fault.caught_by.partition("[")[0])
        for fault in chosen(FAULTS, [*OF_RECORDS, *OF_MEANING, *OF_COUNTS])
    }
    assert classes - here == set()


def test_a_fault_of_each_class_is_caught_by_its_check_and_taken_back(
    stack: Stack, operators: Operators, tmp_path: Path
) -> None:
    """Many at once, in one run: none hides another, and no check but theirs is red."""
    trials = Trials(stack, tmp_path)

    def look(names: Sequence[str], which: str) -> Outcome:
        with ExitStack() as injected:
            for fault in chosen(FAULTS, names):
                injected.enter_context(fault.inject(operators))
            return trials.verify("-k", which)

    with planted(operators):
        trials.capture()
        # A bucket that keeps no versions is told twice, by its objects and by their versions.
        found = look(OF_RECORDS, f"{QUICK} and not references and not golden and not versions")
        assert found.red.keys() == {fault.caught_by for fault in chosen(FAULTS, OF_RECORDS)}
        found = look(OF_MEANING, "references or golden or (test_schema and kafka)")
        # A record that is gone is missed by every reference to it, and by searches that found it.
        assert found.red.keys() >= {fault.caught_by for fault in chosen(FAULTS, OF_MEANING)}
        found = look(OF_COUNTS, f"{QUICK} and (collection_count or unrecorded_collection)")
        # What is renamed is missed by its old name, and found by its new one.
        assert found.red.keys() >= {fault.caught_by for fault in chosen(FAULTS, OF_COUNTS)}
        assert trials.verify("-k", QUICK).red == {}
