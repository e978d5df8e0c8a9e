"""The contract of views; a folder has no account that may not write, and no vectors."""

from __future__ import annotations

from tests.stack.reading import test_view_contract
from tests.stack.reading.test_view_contract import (
    test_an_answer_has_touched_data,
    test_counts_are_exact,
    test_counts_follow_the_records,
    test_no_answer_is_unverifiable_and_tells_no_secret,
    test_nothing_to_ask_is_not_taken_for_data,
)

__all__ = [
    "test_an_answer_has_touched_data",
    "test_counts_are_exact",
    "test_counts_follow_the_records",
    "test_no_answer_is_unverifiable_and_tells_no_secret",
    "test_nothing_to_ask_is_not_taken_for_data",
]
LEFT_OUT = {"test_the_reader_can_write_nothing", "test_a_search_finds_the_vector_it_took"}


def test_nothing_else_of_the_contract_is_left_out() -> None:
    contract = {name for name in vars(test_view_contract) if name.startswith("test_")}
    assert contract == {name for name in __all__ if name.startswith("test_")} | LEFT_OUT
