"""Progress and errors: no order to the terminal, and whole after a way between processes."""

from __future__ import annotations

import io
import json
import pickle
from dataclasses import replace

import pytest

from reports.answers.monitor_view import View
from reports.terminal.progress import Progress
from rollproof.errors import ActionFailed, Described, Meaning, Mismatch, Problem, Unverifiable
from rollproof.stores.contract import Untold
from tests.unit.made_samples import samples, value


def test_what_others_wrote_is_no_order_to_the_terminal() -> None:
    stream = io.StringIO()
    with Progress(stream) as progress:
        with progress.step("restore a\x1b[2Jb") as step:
            step.result = "3\x1b[H\x9b2J"
        progress.say("x\u202ey")
    assert not {"\x1b", "\x9b", "\u202e"} & {*stream.getvalue()}
    assert "a\\u001b[2Jb" in stream.getvalue()


@pytest.mark.parametrize("as_json", [False, True])
def test_what_a_probe_says_is_no_order_to_the_terminal(as_json: bool) -> None:  # noqa: FBT001 - of a table
    said = "a\x1b[2J\x9b2J\u202eb"
    (sample,) = samples(1, lambda _: {"store redis": value(None, ok=False)})
    probe = replace(sample.probes["store redis"], text=said)
    stream = io.StringIO()
    View(stream, as_json=as_json).show(replace(sample, probes={"redis": probe}))
    assert not {"\x1b", "\x9b", "\u202e"} & {*stream.getvalue()}
    assert not as_json or json.loads(stream.getvalue())["probes"]["redis"]["text"] == said


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
