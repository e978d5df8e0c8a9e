"""Progress: what is shown, and that nobody has to look."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from reports.answers.monitor_view import View
from reports.terminal.progress import Progress
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
