"""No canary is in anything that a run wrote or printed, whatever way it came in.

With the redaction of an entrance taken away, the last scan finds its canary, and the run is red.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rollback_actions.session.session import Journal
from tests.canaries import CHECKS, ENDINGS, hold_canaries, leaks, leaks_of, require_all_reported, written
from tests.plugin_sandbox import Here


@pytest.fixture
def project(sandbox: Here) -> Here:
    hold_canaries(sandbox)
    return sandbox


@pytest.mark.parametrize(
    "arguments", [["--tb=long", "-o", "log_cli=true"], ["--tb=native"]], ids=["live log", "native traceback"]
)
def test_no_canary_leaves_a_run(project: Here, arguments: list[str]) -> None:
    project.checks(test_entrances=CHECKS)

    outcome = project.run(*arguments)

    assert outcome.code == pytest.ExitCode.TESTS_FAILED, outcome.text
    assert "secret in the record" not in outcome.text
    assert leaks(outcome.text) == []
    assert leaks_of(project) == {}
    require_all_reported(project, CHECKS)


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_canary_leaves_a_run_that_ends_early(project: Here, ending: str) -> None:
    checks, more = ENDINGS[ending]
    project.checks(test_entrances=checks)
    project.settings(more)

    outcome = project.run()

    assert outcome.code not in {0, 5}, outcome.text
    assert leaks(outcome.text) == []
    assert "[redacted]" in outcome.text
    assert leaks_of(project) == {}


_made = Journal.__init__


def _write_as_it_is(journal: Journal, path: Path, _: object) -> None:
    _made(journal, path, str)


# What takes the redaction of one entrance away, and a check that passes and leaks through it alone.
MUTATIONS: dict[str, tuple[str, Callable[..., object] | None, str]] = {
    "report": ("reports.run.scrubbing._Scrubber._scrub", lambda *_: None, "property"),
    "name": ("reports.run.scrubbing._Scrubber.pytest_make_parametrize_id", None, "name"),
    "log": (
        "reports.run.scrubbing._Formatter.format",
        lambda self, record: self._inner.format(record),
        "log",
    ),
    "allure": ("reports.allure.results._redacted", lambda value, _: value, "step"),
    "text": ("reports.allure.results._text", lambda value, _: value, "evidence"),
    "bytes": ("rollproof.redaction.redactor.Redactor.data", lambda _, data: data, "bytes"),
    "journal": ("rollback_actions.session.session.Journal.__init__", _write_as_it_is, "journal"),
}


@pytest.mark.parametrize("entrance", MUTATIONS)
def test_the_last_scan_finds_what_was_not_redacted(
    project: Here, monkeypatch: pytest.MonkeyPatch, entrance: str
) -> None:
    place, as_it_is, name = MUTATIONS[entrance]
    project.checks(test_entrances=CHECKS)
    if as_it_is is None:
        monkeypatch.delattr(place)
    else:
        monkeypatch.setattr(place, as_it_is)

    outcome = project.run(f"checks/test_entrances.py::test_{name}")

    assert outcome.code == pytest.ExitCode.TESTS_FAILED, outcome.text
    assert " passed" in outcome.text
    assert "secret in the record: expected none, observed one (" in outcome.text
    (verdict,) = (text for name, text in written(project) if name.endswith("/verdict.json") and "{" in text)
    assert "a secret is in the record of this incident" in verdict
    assert '"verdict": "passed",\n  "phases"' not in verdict
