"""The cut of the long tests: each in one part, the same on every day, the parts about as long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollproof.errors import UsageProblem
from tests.running.cut import DEFAULT_MINUTES, STACKS, Share, cut

TESTS = st.dictionaries(st.text(min_size=1, max_size=5), st.floats(0.5, 40))


@given(TESTS, st.integers(1, 6))
def test_each_test_is_in_one_part(tests: dict[str, float], parts: int) -> None:
    found = cut(tests, parts)
    assert len(found) == parts
    assert sorted(test for part in found for test in part) == sorted(tests)


@given(TESTS, st.integers(1, 6))
def test_no_part_is_longer_than_another_by_more_than_one_test(tests: dict[str, float], parts: int) -> None:
    first, *others = (sum(tests[test] for test in part) / STACKS for part in cut(tests, parts))
    lengths = [DEFAULT_MINUTES + first, *others]
    longest = max(tests.values(), default=0.0) / STACKS
    assert max(lengths) - min(lengths) <= max(longest, DEFAULT_MINUTES) + 1e-6


@pytest.mark.parametrize(
    "text", ["", "0/2", "3/2", "1", "1/0", "-1/2", "1/2/3", "a/b", "\u0661/2", "100/100"]
)
def test_what_names_no_part_is_refused(text: str) -> None:
    with pytest.raises(UsageProblem, match="part of the tests: expected K/N"):
        Share.read(text)


def test_a_share_is_written_as_it_is_read() -> None:
    assert str(Share.read("2/4")) == "2/4"
    assert Share.read("1/4").first
    assert not Share.read("2/4").first
