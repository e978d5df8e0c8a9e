"""Errors: whole after a way from one process to another, and the words of what refused a file."""

from __future__ import annotations

import pickle

import pytest

from rollproof.errors import ActionFailed, Described, Meaning, Mismatch, Problem, Unverifiable
from rollproof.stores.contract import Untold


@pytest.mark.parametrize("kind", [Problem, Unverifiable, ActionFailed, Untold, Mismatch])
def test_an_error_survives_the_way_to_another_process(kind: type[Described]) -> None:
    told = kind(what="it", expected=("a", object), observed=print, source="b", hint="c", means=Meaning.LATE)
    told.add_note("and more")
    found = pickle.loads(pickle.dumps(told))  # noqa: S301 - its own
    assert type(found) is kind
    assert (str(found), found.what, found.source, found.hint) == (str(told), "it", "b", "c")
    assert (found.expected, found.observed) == (str(told.expected), str(told.observed))
    assert (found.means, found.summary) == (Meaning.LATE, told.summary)
    assert found.__notes__ == ["and more"]


def test_what_is_wrong_fails_and_what_is_not_known_is_broken() -> None:
    assert issubclass(Mismatch, AssertionError)
    assert not issubclass(Mismatch, Problem)
    assert not issubclass(Problem, AssertionError)
