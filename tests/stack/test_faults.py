"""A data fault of each store on the shared stack, as `./run faults` makes them all: caught, and undone."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from staging.faults.catalogue import chosen, planted
from staging.faults.trial import Trials
from staging.operators import Operators
from staging.stack import Stack

ONE_A_STORE = (
    "mysql-values-swapped",
    "mongodb-integer-became-double",
    "redis-last-digit-of-a-score",
    "minio-object-of-the-same-size",
    "kafka-offset-reset",
    "qdrant-last-bit-of-a-vector",
    "milvus-alias-moved",
)
# The application's many collections of Milvus take most of the time, and no fault here is in one of them.
QUICK = ("-n", "2", "-k", "not colqwen and not test_references")


def test_one_fault_of_each_store_is_caught_and_taken_back(
    stack: Stack, operators: Operators, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """All at once, in one run: none hides another, and no check but theirs is red."""
    trials = Trials(stack.root, tmp_path_factory.mktemp("faults"))
    faults = chosen(ONE_A_STORE)
    assert len({fault.store for fault in faults}) == 7
    with planted(operators):
        trials.capture()
        with ExitStack() as injected:
            for fault in faults:
                injected.enter_context(fault.inject(operators))
            outcome = trials.verify(*QUICK)
        assert outcome.red.keys() == {fault.caught_by for fault in faults}
        assert trials.verify(*QUICK).red == {}
