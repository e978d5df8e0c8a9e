"""Who names records is backed up before who holds them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rollback_actions.backup.whole_backup import _waves

NAMES = "abcdef"


@given(st.fixed_dictionaries({name: st.sets(st.sampled_from(NAMES)) for name in NAMES}))
def test_whatever_names_whatever_each_is_copied_once_and_before_what_it_names(
    named: dict[str, set[str]],
) -> None:
    """Those that name each other, directly or by others, are copied side by side."""
    found = _waves(named)
    assert sorted(name for wave in found for name in wave) == [*NAMES]
    number = {name: at for at, wave in enumerate(found) for name in wave}
    reached = {name: {name} for name in NAMES}
    for one in (*NAMES, *NAMES) * len(NAMES):
        reached[one] |= {far for other in named[one] for far in reached[other]}
    for one, others in named.items():
        for other in others:
            if one in reached[other]:
                assert number[one] == number[other]
            else:
                assert number[one] < number[other]
