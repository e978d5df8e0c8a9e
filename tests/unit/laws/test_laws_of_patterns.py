"""Patterns of names: one that another hides is seen."""

from __future__ import annotations

from rollproof.collection import first_hidden


def test_the_first_hidden_pattern_is_named_behind_the_one_that_hides_it() -> None:
    assert first_hidden(["*", "logs_*"]) == ("*", "logs_*")
    assert first_hidden(["logs_a", "logs_*", "?*", "*"]) is None
    assert first_hidden(["logs_*", "users", "logs_a"]) == ("logs_*", "logs_a")
    assert first_hidden(["orders_*", "orders_[0-9]"]) == ("orders_*", "orders_[0-9]")
