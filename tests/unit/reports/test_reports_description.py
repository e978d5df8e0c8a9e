"""What a report keeps of an error: both sides, where it has two."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from fixtures.gating.evidence import SIDES, Sides
from reports.allure.results import note_error
from rollproof.errors import Problem
from rollproof.profile.mistakes import ProfileProblem, mistake


def test_errors_of_a_profile_are_kept_although_they_have_no_two_sides() -> None:
    """Each of its errors has its own; the text of all of them is what a report shows."""
    item = cast("pytest.Item", SimpleNamespace(stash=pytest.Stash()))
    one = mistake(what="name", expected="a text", observed="none", source="profile.toml", hint="name it")
    note_error(item, ProfileProblem([one]))
    assert item.stash.get(SIDES, []) == []
    note_error(item, Problem(what="store", expected="up", observed="down", source="it", hint="start it"))
    assert item.stash[SIDES] == [Sides(expected="up", observed="down")]
