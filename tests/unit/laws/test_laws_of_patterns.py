"""Patterns of names: what one hides is matched by it, as fnmatch says; and nothing else is hidden."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import combinations, product

from hypothesis import given
from hypothesis import strategies as st

from rollproof.collection import first_hidden, hides, narrow_first

# Some have a meaning of their own in brackets, or in the regex that fnmatch makes.
_LETTERS = "abc.^-!]\\&[\n"
_brackets = st.tuples(
    st.sampled_from(["[", "[!"]), st.text("abc-]^!\\[&", max_size=5), st.sampled_from(["]", ""])
)
_parts = st.one_of(st.sampled_from(["*", "?"]), _brackets.map("".join), st.text(_LETTERS, max_size=2))
patterns = st.lists(_parts, max_size=4).map("".join)
names = st.text(_LETTERS, max_size=6)


@given(patterns, patterns, names)
def test_what_a_hidden_pattern_matches_is_matched_by_the_wide_one(wide: str, narrow: str, name: str) -> None:
    if hides(wide, narrow) and fnmatchcase(name, narrow):
        assert fnmatchcase(name, wide)


@given(patterns, st.data())
def test_a_pattern_is_hidden_by_itself_and_by_one_with_a_star_in_a_place(
    pattern: str, data: st.DataObject
) -> None:
    assert hides(pattern, pattern)
    assert hides("*", pattern)
    assert hides(f"{pattern}*", pattern)
    if "[" not in pattern and pattern:
        begin = data.draw(st.integers(0, len(pattern) - 1))
        end = data.draw(st.integers(begin, len(pattern)))
        assert hides(f"{pattern[:begin]}*{pattern[end:]}", pattern)


def test_short_patterns_are_compared_exactly() -> None:
    """Every pair of short patterns is hidden if, and only if, no short name tells them apart."""
    short = [
        "".join(each)
        for length in range(4)
        for each in product(["a", "[!a]", "[ab]", "?", "*"], repeat=length)
    ]
    _require_exact(short, "abc")


def test_patterns_of_brackets_are_compared_exactly() -> None:
    """A bracket that is open, or that is closed behind its first sign, means itself."""
    short = ["".join(each) for length in range(4) for each in product("a[!]", repeat=length)]
    _require_exact(short, "ab[!]")


def _require_exact(short: Sequence[str], letters: str) -> None:
    every = ["".join(each) for length in range(5) for each in product(letters, repeat=length)]
    matched = {pattern: {name for name in every if fnmatchcase(name, pattern)} for pattern in short}
    wrong = [
        (wide, narrow)
        for wide, narrow in product(short, repeat=2)
        if hides(wide, narrow) != (matched[narrow] <= matched[wide])
    ]
    assert not wrong


@given(st.lists(patterns, max_size=6, unique=True), names)
def test_with_the_narrow_ones_first_each_has_an_effect(order: list[str], name: str) -> None:
    table = {pattern: pattern for pattern in order}
    ordered = narrow_first(table)
    assert first_hidden(ordered) is None
    hidden = [pair for pair in combinations(order, 2) if hides(*pair)]
    assert (first_hidden(order) in hidden) if hidden else (first_hidden(order) is None)
    assert ordered == {pattern: table[pattern] for pattern in ordered}
    # One that is left out matches the same as another.
    left = table.keys() - ordered.keys()
    assert all(any(hides(one, out) and hides(out, one) for one in ordered) for out in left)
    assert any(fnmatchcase(name, one) for one in order) == any(fnmatchcase(name, one) for one in ordered)


def test_a_pair_that_takes_too_long_hides_nothing() -> None:
    """Places in a wide pattern can be as many as its subsets: there is an end to looking at them."""
    assert hides(f"*a{'?' * 8}", f"*[a]{'?' * 8}")
    assert not hides(f"*a{'?' * 80}", f"*[a]{'?' * 80}")
