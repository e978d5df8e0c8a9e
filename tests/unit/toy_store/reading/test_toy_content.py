"""The contract of content readers; for a folder every text is a bound, and it has no vectors."""

from __future__ import annotations

from tests.stack.reading import test_content_contract
from tests.stack.reading.test_content_contract import (
    test_a_caller_may_stop,
    test_a_collection_that_is_gone_is_no_answer,
    test_a_restore_leaves_no_difference,
    test_every_change_is_seen_and_named,
    test_every_record_is_read_by_its_key,
    test_excluded_fields_are_in_no_hash,
    test_nothing_is_one_empty_part,
    test_other_ways_to_the_same_records_are_not_seen,
    test_parts_hold_every_record_once_and_outlive_changes,
)

__all__ = [
    "test_a_caller_may_stop",
    "test_a_collection_that_is_gone_is_no_answer",
    "test_a_restore_leaves_no_difference",
    "test_every_change_is_seen_and_named",
    "test_every_record_is_read_by_its_key",
    "test_excluded_fields_are_in_no_hash",
    "test_nothing_is_one_empty_part",
    "test_other_ways_to_the_same_records_are_not_seen",
    "test_parts_hold_every_record_once_and_outlive_changes",
]
LEFT_OUT = {"test_a_bound_of_another_division_is_no_answer", "test_golden_queries_find_the_same_again"}


def test_nothing_else_of_the_contract_is_left_out() -> None:
    contract = {name for name in vars(test_content_contract) if name.startswith("test_")}
    assert contract == {name for name in __all__ if name.startswith("test_")} | LEFT_OUT
