"""Pytest plugin: Allure results go to the incident's folder, labelled, with evidence, without secrets.

One folder an incident, `allure-results`, never cleaned: `-m phase1` and then `-m phase2` are two runs of one
record. A check is known by its node id, so that one which ran twice is shown once, with its latest result,
and the earlier ones as retries.

`fixtures.phases` must have found the incident when `pytest_configure` here is called, and allure-pytest must
not have been configured yet. The first is `tryfirst`; installed plugins are configured after a conftest's.
"""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from collections.abc import Generator
from enum import Enum
from pathlib import Path
from typing import Any

import allure_commons
import attrs
import pytest
from allure_commons.logger import AllureFileLogger
from allure_commons.model2 import Globals, Label, Status, StatusDetails, TestResult, TestResultContainer
from allure_commons.types import LabelType
from allure_pytest.listener import AllureListener
from allure_pytest.utils import ParsedPytestNodeId, allure_label, allure_title

from fixtures.evidence import EVIDENCE
from fixtures.failing import parameters_of
from fixtures.ledger import Result
from fixtures.redaction import Redactor
from fixtures.stages import stage_of
from fixtures.verdict import Verdict
from fixtures.verification import VERIFICATION, Verification
from reports.allure_metadata import RESULTS
from reports.description import description, note_error, steps
from reports.redactor import redactor_of
from reports.room import TRACE_CHARACTERS, Room, shortened
from reports.stages import TITLES, severity_of
from reports.titles import heading_of

NODE_ID = "nodeId"
# The suite's own errors say what they are by their words.
_OWN_ERROR = re.compile(r"^fixtures\.\w+\.\w+: ")
_STATUSES = {
    Verdict.PASSED: Status.PASSED,
    Verdict.FAILED: Status.FAILED,
    Verdict.BROKEN: Status.BROKEN,
    Verdict.BLOCKED: Status.SKIPPED,
}
# Fixtures that a check speaks through.
_PLUMBING = frozenset({"evidence", "note", "saw", "redact"})
_NEVER_REPORTED = "no result: the check was planned and never reported"


def pytest_configure(config: pytest.Config) -> None:
    """Send Allure's results to the incident, unless the operator named another folder."""
    verification = config.stash.get(VERIFICATION, None)
    if verification is None or config.option.collectonly or not _in_use(config):
        return
    if config.option.allure_report_dir is None:
        config.option.allure_report_dir = str(verification.incident.folder / RESULTS)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Put a logger that redacts in the place of Allure's own."""
    manager = allure_commons.plugin_manager
    original = next((p for p in manager.get_plugins() if type(p) is AllureFileLogger), None)
    if original is None:
        return
    config = session.config
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    room = Room(Path(config.option.allure_report_dir), workers)
    ours = RedactingLogger(original, redactor_of(config), room)
    manager.unregister(original)
    manager.register(ours)

    def restore() -> None:
        # Allure's own clean-up wants to find what it registered.
        manager.unregister(ours)
        manager.register(original)

    session.config.add_cleanup(restore)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Label each check: incident, stage, what it is about, severity, node id."""
    verification = config.stash.get(VERIFICATION, None)
    if verification is None or not _in_use(config):
        return
    for item in items:
        for name, value in _labels(
            item.nodeid, verification.incident.id, stage_of(item), _story(item, redactor_of(config))
        ).items():
            if not allure_label(item, name):
                item.add_marker(pytest.mark.allure_label(value, label_type=name))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the evidence that a check kept, and say what it did and saw, once it is torn down."""
    report = yield
    note_error(item, call.excinfo.value if call.excinfo is not None else None)
    if call.when == "teardown":
        _describe(item)
        for evidence in item.stash.get(EVIDENCE, []):
            allure_commons.plugin_manager.hook.attach_data(
                body=evidence.text,
                name=evidence.name,
                attachment_type=evidence.media_type,
                extension=None,
            )
    return report


def _describe(item: pytest.Item) -> None:
    """Give the result its title, its description and its steps; a title of the check's own is left."""
    plugins = allure_commons.plugin_manager.get_plugins()
    listener = next((plugin for plugin in plugins if isinstance(plugin, AllureListener)), None)
    result = listener.allure_logger.get_test(None) if listener is not None else None
    if result is None:
        return
    if not allure_title(item):
        result.name = heading_of(item.name)
    result.description = description(item)
    result.steps.extend(steps(item))


def _in_use(config: pytest.Config) -> bool:
    """Return whether allure-pytest was left switched on."""
    return hasattr(config.option, "allure_report_dir")


def _labels(node_id: str, incident: str, stage: str | None, story: str | None) -> dict[str, str]:
    labels = {NODE_ID: node_id, LabelType.EPIC: incident}
    if stage is not None:
        labels |= {LabelType.FEATURE: TITLES[stage], LabelType.SEVERITY: severity_of(stage)}
    if story is not None:
        labels[LabelType.STORY] = story
    return labels


def _story(item: pytest.Item, redactor: Redactor) -> str | None:
    """Return the container or store that a check is about: its first parameter, up to a slash.

    Checks of one table, mount or collection are parametrised with ``mysql/users`` and the like.
    """
    first = next(iter(parameters_of(item).values()), None)
    # What is cut off a secret would not be known as a part of it.
    return redactor.text(first).split("/")[0] if isinstance(first, str) and first else None


class RedactingLogger:
    """Lets Allure's logger write results and attachments without secrets, and known by their node ids."""

    def __init__(self, inner: Any, redactor: Redactor, room: Room) -> None:  # noqa: ANN401 - it is not typed
        self._inner = inner
        self._redactor = redactor
        self._room = room

    @allure_commons.hookimpl
    def report_result(self, result: TestResult) -> None:
        """Write a result."""
        node_id = next((label.value for label in result.labels if label.name == NODE_ID), None)
        if node_id is not None:
            _identify(result, node_id)
        if result.statusDetails is not None and result.statusDetails.message:
            result.statusDetails.message = _OWN_ERROR.sub("", result.statusDetails.message)
        result = _redacted(result, self._redactor)
        if result.statusDetails is not None and result.statusDetails.trace:
            # Not before: the shape of a secret that is cut is none.
            result.statusDetails.trace = shortened(result.statusDetails.trace, TRACE_CHARACTERS)
        self._inner.report_result(result)
        self._room.next_check()

    @allure_commons.hookimpl
    def report_container(self, container: TestResultContainer) -> None:
        """Write fixtures that prepare something, and what undoes it.

        Not pytest's own finalizers, which end when Allure has stopped looking.
        """
        container.afters = [after for after in container.afters if after.stop is not None]
        container.befores = [before for before in container.befores if before.name not in _PLUMBING]
        if container.befores or container.afters:
            self._inner.report_container(_redacted(container, self._redactor))

    @allure_commons.hookimpl
    def report_globals(self, globals_item: Globals) -> None:
        """Write what belongs to no check."""
        self._inner.report_globals(_redacted(globals_item, self._redactor))

    @allure_commons.hookimpl
    def report_attached_file(self, source: str, file_name: str) -> None:
        """Write an attached file, which is left as it is where it came from."""
        self.report_attached_data(Path(source).read_bytes(), file_name)

    @allure_commons.hookimpl
    def report_attached_data(self, body: str | bytes, file_name: str) -> None:
        """Write attached text or bytes."""
        text = isinstance(body, str)
        clean = _text(body, self._redactor).encode() if isinstance(body, str) else self._redactor.data(body)
        self._inner.report_attached_data(self._room.fit(clean, text=text), file_name)


def _text(value: str, redactor: Redactor) -> str:
    """Return `value` redacted; half a character, as of a name that is no UTF-8, is spelled out."""
    return redactor.text(value).encode("utf-8", "backslashreplace").decode()


def _redacted(value: Any, redactor: Redactor) -> Any:  # noqa: ANN401 - Allure's models hold anything
    """Return `value`; its texts are redacted where they are."""
    if isinstance(value, str) and not isinstance(value, Enum):
        return _text(value, redactor)
    if isinstance(value, list):
        return [_redacted(item, redactor) for item in value]
    if attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            setattr(value, field.name, _redacted(getattr(value, field.name), redactor))
    return value


def _identify(result: TestResult, node_id: str) -> None:
    """Make the node id the identity: results of one check, in whichever run, are results of one test case.

    Allure makes a history id of its own from the test case and the parameters, so those are left out of it;
    the result of a check that never ran has none.
    """
    identity = hashlib.md5(node_id.encode(), usedforsecurity=False).hexdigest()
    result.testCaseId = result.historyId = identity
    for parameter in result.parameters:
        parameter.excluded = True


def write_unreported(
    verification: Verification, phase: str, node_id: str, recorded: Result | None = None
) -> None:
    """Write a result for a check that wrote none itself: its worker died, or it never began."""
    moment = int(time.time() * 1000)
    result = unreported(verification.incident.id, phase, node_id, recorded, moment)
    allure_commons.plugin_manager.hook.report_result(result=result)


def unreported(
    incident: str, stage: str, node_id: str, recorded: Result | None, milliseconds: int
) -> TestResult:
    """Return the result of a check that wrote none itself.

    It is what was `recorded` of it in the ledger; *broken*, when nothing was. It began and ended so many
    `milliseconds` after 1970.
    """
    verdict = Verdict.BROKEN if recorded is None else recorded.verdict
    return TestResult(
        uuid=str(uuid.uuid4()),
        name=heading_of(node_id),
        fullName=_full_name(node_id),
        status=_STATUSES[verdict],
        statusDetails=StatusDetails(message=recorded.reason if recorded else _NEVER_REPORTED),
        labels=[Label(name=n, value=v) for n, v in _labels(node_id, incident, stage, None).items()],
        start=milliseconds,
        stop=milliseconds,
    )


def _full_name(node_id: str) -> str:
    """Return what Allure calls a check; its node id where that names no test, as in a damaged plan."""
    if "::" not in node_id:
        return node_id
    parsed = ParsedPytestNodeId(node_id)
    return f"{parsed.package}#{parsed.test_function}"
