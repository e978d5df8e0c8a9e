"""Patterns of names: a hidden one is always seen, and of those that a person writes, no other."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import product

import pytest

from rollproof.collection import first_hidden, hides

SHORT = ["".join(each) for length in range(4) for each in product(["a", "b", "?", "*"], repeat=length)]
NAMES = ["".join(each) for length in range(6) for each in product("abc", repeat=length)]


def test_short_patterns_are_compared_exactly() -> None:
    """One is hidden if, and only if, no short name shows that it is not."""
    matched = {pattern: {name for name in NAMES if fnmatchcase(name, pattern)} for pattern in SHORT}
    wrong = [
        pair for pair in product(SHORT, repeat=2) if hides(*pair) != (matched[pair[1]] <= matched[pair[0]])
    ]
    assert not wrong


@pytest.mark.parametrize("pattern", ["orders_[0-9]", "[!a]*", "[]]", "[ab", "*.[ch]", ""])
def test_a_hidden_pattern_with_brackets_is_seen(pattern: str) -> None:
    assert hides(pattern, pattern)
    assert hides("*", pattern)
    assert hides(f"{pattern}*", pattern)
    assert not hides(f"{pattern}x", pattern)


def test_the_first_hidden_pattern_is_named_behind_the_one_that_hides_it() -> None:
    assert first_hidden(["*", "logs_*"]) == ("*", "logs_*")
    assert first_hidden(["logs_a", "logs_*", "?*", "*"]) is None
    assert first_hidden(["logs_*", "users", "logs_a"]) == ("logs_*", "logs_a")
