"""The history of a target: bounded, one line a report, and no reason for a report to fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reports.html.history import MOST_BYTES, MOST_REPORTS, earlier_reports, history_of, write_history
from reports.tools.processes import NoReport
from rollproof.incident.incident import Incident
from rollproof.system.clock import Moment


def line(name: str, **result: Any) -> bytes:  # noqa: ANN401 - whatever Allure may write
    point = {
        "uuid": name,
        "name": name,
        "timestamp": 1,
        "knownTestCaseIds": ["a"],
        "testResults": {"a": {"status": "failed", **result}},
        "metrics": {},
        "url": "",
    }
    return json.dumps(point).encode()


def test_it_is_one_of_the_target(tmp_path: Path) -> None:
    incident = Incident("one", tmp_path / "one", "staging", Moment.now())
    assert history_of(incident) == tmp_path / "history-staging.jsonl"


def test_a_report_that_is_made_again_takes_its_own_place(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    assert earlier_reports(path, "two") == ([], 0)
    write_history(path, [line("one"), line("two")])

    kept, damaged = earlier_reports(path, "two")

    assert ([json.loads(one)["name"] for one in kept], damaged) == (["one"], 0)


@pytest.mark.parametrize(
    "damage",
    [
        b"{",
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        b'{"uuid": "x", "name": "x", "timestamp": 1, "knownTestCaseIds": [], "testResults": {"a": 1}}',
        b'{"uuid": "x", "name": "x", "timestamp": "1", "knownTestCaseIds": [], "testResults": {}}',
    ],
    ids=["torn", "no text", "a list", "nested", "no result", "no time"],
)
def test_damaged_lines_are_left_out_and_counted(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(line("one") + b"\n" + damage + b"\n" + line("three") + b"\n")

    kept, damaged = earlier_reports(path, "now")

    assert ([json.loads(one)["name"] for one in kept], damaged) == (["one", "three"], 1)


def test_it_keeps_the_newest_and_no_more_than_a_page_can_bear(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    write_history(path, [line(str(number)) for number in range(MOST_REPORTS + 5)])
    names = [json.loads(one)["name"] for one in path.read_bytes().splitlines()]
    assert names == [str(number) for number in range(5, MOST_REPORTS + 5)]

    large = [line(str(number), fullName="x" * (MOST_BYTES // 3)) for number in range(5)]
    write_history(path, large)
    assert [json.loads(one)["name"] for one in path.read_bytes().splitlines()] == ["3", "4"]
    write_history(path, [line("huge", fullName="x" * (2 * MOST_BYTES))])
    assert [json.loads(one)["name"] for one in path.read_bytes().splitlines()] == ["huge"]


def test_it_keeps_no_traces_and_no_long_messages(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    write_history(path, [line("one", message="m" * 5000, trace="t" * 5000, labels=[{"name": "host"}])])
    (result,) = json.loads(path.read_bytes())["testResults"].values()
    assert result == {"status": "failed", "message": "m" * 200, "labels": []}


def test_what_is_no_file_is_a_problem_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(NoReport, match=r"history of the target: expected a file that can be read"):
        earlier_reports(tmp_path, "now")
    with pytest.raises(NoReport, match=r"history of the target: expected a file that can be written"):
        write_history(tmp_path, [line("one")])
