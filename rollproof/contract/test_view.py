"""Every view of a store: exact counts, an answer that touched data, and no answer that says so."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from rollproof.contract.subject import SECRET, Subject, Way, at, closed_port, silent_port, whole
from rollproof.errors import Meaning, Unverifiable
from rollproof.stores.contract import LOADED, Pace
from rollproof.stores.reader import Reader


def test_counts_are_exact(subject: Subject, content: Reader) -> None:
    with subject.reader() as view:
        counts, collections, standing = view.counts(), view.collections(), view.existing_collections()
    assert counts == subject.counts
    assert list(counts) == sorted(counts)
    assert [*standing] == [*collections], "no database was dropped"
    assert {name: whole(content, name).records for name in counts} == counts
    assert (counts[subject.full], counts[subject.empty]) == (len(subject.keys), 0)


@pytest.mark.usefixtures("mended")
def test_counts_follow_the_records(subject: Subject) -> None:
    with subject.reader() as view:
        for change, difference in (("lost", -1), ("added", 1)):
            collection = subject.make(change)
            assert view.counts()[collection] == len(subject.keys) + difference, change
            subject.mend()


def test_an_answer_has_touched_data(subject: Subject) -> None:
    with subject.reader() as view:
        answer = view.ask()
    assert (answer.collection, answer.records) == subject.asked
    assert answer.server
    assert subject.server in answer.server


def test_nothing_to_ask_is_not_taken_for_data(subject: Subject) -> None:
    changes, words = subject.nothing
    with subject.reader(**changes) as view:
        if words:
            with pytest.raises(Unverifiable, match=words):
                view.ask()
        else:
            assert view.ask().records == 0
            assert set(view.counts().values()) == {0}


@pytest.mark.only("attempts")
def test_the_reader_can_write_nothing(subject: Subject, subtests: pytest.Subtests) -> None:
    for attempt, (act, words) in subject.attempts.items():
        with subtests.test(attempt), pytest.raises(Exception, match=words):
            act(subject)
    with subject.reader() as view:
        assert view.counts() == subject.counts


@contextmanager
def _no_answer(subject: Subject, way: Way) -> Iterator[Mapping[str, Any]]:
    """Give a change of the profile after which nothing answers."""
    match way:
        case "closed port":
            with closed_port() as port:
                yield {"address": at(port), "deadline_seconds": 2.0}
        case "silence":
            with silent_port() as port:
                yield {"address": at(port), "deadline_seconds": subject.hasty}
        case "wrong secret":
            yield {}


@pytest.mark.only("ways")
def test_no_answer_is_unverifiable_and_tells_no_secret(subject: Subject, subtests: pytest.Subtests) -> None:
    """In time: a call that waits for longer than its deadline says so in its words."""
    for way in subject.ways:
        with subtests.test(way):
            _expect_no_answer(subject, way)


def _expect_no_answer(subject: Subject, way: Way) -> None:
    with _no_answer(subject, way) as changes:
        calls = _calls(subject, {**subject.refused(), **changes})
        with ThreadPoolExecutor(len(calls)) as pool:
            failures = {name: pool.submit(_failure, call) for name, call in calls.items()}
    for name, failure in failures.items():
        error = failure.result()
        shown = "".join(traceback.format_exception(error))
        assert SECRET not in shown, name
        assert error.__cause__ is None, "the driver's own exception may hold a secret"
        assert error.__suppress_context__ or error.__context__ is None, name
        for words in (subject.store, subject.ways[way], "HINT: "):
            assert words in str(error), name
        # A server that refuses the account was reached.
        assert (error.means is Meaning.OTHER) is (way == "wrong secret"), name


def _calls(subject: Subject, changes: Mapping[str, Any]) -> dict[str, Callable[[], object]]:
    """Return what can be asked, each of a reader of its own, which is not yet connected."""
    opened = partial(subject.reader, **changes)
    calls: dict[str, Callable[[], object]] = {
        "ask": lambda: opened().ask(),
        "counts": lambda: opened().counts(),
        "schemas": lambda: opened().schemas(),
        "divide": lambda: opened().divide(subject.full, 10),
        "digest": lambda: list(opened().digest(subject.full, ("",), [0], Pace())),
        "records": lambda: list(opened().records(subject.full, ("",), [0], Pace())),
    }
    if type(opened()).positions is not Reader.positions:
        calls["positions"] = lambda: opened().positions()
    return calls


def _failure(call: Callable[[], object]) -> Unverifiable:
    with pytest.raises(Unverifiable) as failure:
        call()
    return failure.value


@pytest.mark.only("searchable")
def test_a_search_finds_the_record_whose_vector_it_took(subject: Subject) -> None:
    with subject.reader() as view:
        assert view.load_state(subject.full) == LOADED
        found = view.search(subject.searched, limit=3)
        assert found is not None
        assert len({*found}) == 3
        assert view.search(subject.empty) is None
        # A connection outlives an error.
        for question in (view.search, view.load_state):
            with pytest.raises(Unverifiable, match=subject.gone):
                question(subject.absent)
        assert view.load_state(subject.full) == LOADED
