"""The contract of schemas."""

from __future__ import annotations

from tests.stack.reading import test_schema_contract
from tests.stack.reading.test_schema_contract import (
    defined,
    test_every_change_of_a_schema_is_seen,
    test_writing_records_changes_no_schema,
)

__all__ = [
    "defined",
    "test_every_change_of_a_schema_is_seen",
    "test_writing_records_changes_no_schema",
]
LEFT_OUT: set[str] = set()


def test_nothing_else_of_the_contract_is_left_out() -> None:
    contract = {name for name in vars(test_schema_contract) if name.startswith("test_")}
    assert contract == {name for name in __all__ if name.startswith("test_")} | LEFT_OUT
