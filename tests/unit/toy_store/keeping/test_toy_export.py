"""The contract of exports; a folder asks for no secret, and no server of it may fail."""

from __future__ import annotations

from tests.stack.keeping import test_export_contract
from tests.stack.keeping.test_export_contract import (
    test_a_caller_may_stop,
    test_a_collection_that_is_gone_is_no_export,
    test_a_replay_puts_back_what_is_not_there_and_another_one_nothing,
    test_fields_that_digests_leave_out_are_exported,
    test_only_what_is_wanted_and_still_there,
    test_people_can_read_it,
    test_what_is_written_again_is_what_was_there,
)

__all__ = [
    "test_a_caller_may_stop",
    "test_a_collection_that_is_gone_is_no_export",
    "test_a_replay_puts_back_what_is_not_there_and_another_one_nothing",
    "test_fields_that_digests_leave_out_are_exported",
    "test_only_what_is_wanted_and_still_there",
    "test_people_can_read_it",
    "test_what_is_written_again_is_what_was_there",
]
LEFT_OUT = {
    "test_a_record_that_is_there_is_not_replaced_unasked",
    "test_a_server_that_does_not_answer_is_no_export",
    "test_the_reader_of_the_profile_can_export",
}


def test_nothing_else_of_the_contract_is_left_out() -> None:
    contract = {name for name in vars(test_export_contract) if name.startswith("test_")}
    assert contract == {name for name in __all__ if name.startswith("test_")} | LEFT_OUT
