"""The contract of keepers; no server of a folder may fail."""

from __future__ import annotations

from tests.stack.keeping import test_keeper_contract
from tests.stack.keeping.test_keeper_contract import (
    test_a_backup_counts_what_it_holds_and_changes_nothing,
    test_a_backup_that_a_write_disturbs_is_refused,
    test_a_damaged_package_is_refused_before_the_store_is_touched,
    test_a_package_of_another_target_is_refused,
    test_a_restore_brings_back_what_was_there,
    test_a_restore_that_was_killed_is_done_by_the_next,
    test_no_secret_is_in_a_package_or_on_a_command_line,
    test_steps_of_a_backup_share_its_deadline,
    test_what_came_after_goes_away_and_is_named,
    test_what_was_dropped_stops_no_copy_before_a_restore,
)

__all__ = [
    "test_a_backup_counts_what_it_holds_and_changes_nothing",
    "test_a_backup_that_a_write_disturbs_is_refused",
    "test_a_damaged_package_is_refused_before_the_store_is_touched",
    "test_a_package_of_another_target_is_refused",
    "test_a_restore_brings_back_what_was_there",
    "test_a_restore_that_was_killed_is_done_by_the_next",
    "test_no_secret_is_in_a_package_or_on_a_command_line",
    "test_steps_of_a_backup_share_its_deadline",
    "test_what_came_after_goes_away_and_is_named",
    "test_what_was_dropped_stops_no_copy_before_a_restore",
]
LEFT_OUT = {"test_a_server_that_does_not_answer_fails_at_the_deadline"}


def test_nothing_else_of_the_contract_is_left_out() -> None:
    contract = {name for name in vars(test_keeper_contract) if name.startswith("test_")}
    assert contract == {name for name in __all__ if name.startswith("test_")} | LEFT_OUT
