"""Whether a backup holds enough of what a store holds."""

from __future__ import annotations

import pytest

from rollproof.profile.sections import Policy
from rollproof.stores.policy import in_proportion


@pytest.mark.parametrize(
    ("policy", "kept", "live", "recorded", "enough"),
    [
        ("exact", 95, 100, 100, True),
        ("exact", 94, 100, 100, False),
        ("exact", 106, 100, 100, False),
        ("exact", None, 0, None, False),
        # Users add records, before the backup and after it.
        ("grows", 56, 99, 50, True),
        ("changes", 56, 99, 50, True),
        ("grows", 47, 99, 50, False),
        ("grows", None, 99, 50, False),
        ("grows", None, 0, 0, False),
        # Made since the baseline.
        ("grows", None, 1, None, True),
        # Users removed some since.
        ("changes", 20, 20, 50, True),
        ("volatile", 1, 100, 100, True),
        ("volatile", 0, 100, 100, False),
        ("volatile", None, 0, 100, True),
    ],
)
def test_what_users_add_is_no_lack_of_a_backup(
    policy: Policy, kept: int | None, live: int, recorded: int | None, *, enough: bool
) -> None:
    assert in_proportion(kept, live, 5.0, policy, recorded) is enough
