"""Pytest plugin: Allure results go to the incident's folder, labelled, with evidence, without secrets.

Each incident has one folder `allure-results`, which is never cleaned: `-m phase1` and then `-m phase2` are
two runs of one record. A check is known by its node id. When it ran twice, the report shows it once, with its
latest result, and the earlier results as retries.

`fixtures.gating.phases` must have found the incident when `pytest_configure` here is called, and
allure-pytest must not be configured yet. The first hook is `tryfirst`; installed plugins are configured
after a conftest's.
"""

from __future__ import annotations

import hashlib
import inspect
import platform
import uuid
from collections.abc import Generator, Iterator, Mapping
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import Any

import allure_commons
import attrs
import pytest
from allure_commons.logger import AllureFileLogger
from allure_commons.model2 import (
    Globals,
    Label,
    Status,
    StatusDetails,
    TestResult,
    TestResultContainer,
    TestStepResult,
)
from allure_commons.types import LabelType
from allure_pytest.listener import AllureListener
from allure_pytest.utils import allure_label, allure_title

from fixtures.gating.evidence import EVIDENCE, NOTES, SIDES, STEPS, Sides
from fixtures.gating.recorder import judge
from fixtures.gating.stages import parameters_of, stage_of
from fixtures.gating.verification import VERIFICATION
from reports.text.page import (
    TITLES,
    TRACE_CHARACTERS,
    cut_evidence,
    cut_to,
    escaped,
    heading_of,
    redactor_of,
    severity_of,
)
from rollproof.baseline.facts import Facts
from rollproof.collection import Case
from rollproof.errors import Described, Meaning, Mismatch, Problem
from rollproof.home import version as own_version
from rollproof.incident.incident import Incident, IncidentKind, RollbackRecord
from rollproof.incident.ledger import CheckResult
from rollproof.incident.tally import NEVER_REPORTED
from rollproof.profile.mistakes import ProfileProblem
from rollproof.reading import read_regular
from rollproof.record_names import ENVIRONMENT_FILE, RESULTS
from rollproof.redaction.redactor import Redactor
from rollproof.runbook import Replica, store_in
from rollproof.system.files import encodable, write_whole
from rollproof.verdict import Verdict

_WRONG = (
    *(Meaning.LATE, Meaning.DATA_LOSS, Meaning.DATA_CHANGED),
    *(Meaning.WRONG_VERSION, Meaning.RESOURCES, Meaning.SERVICE_DOWN, Meaning.OTHER),
)
_UNKNOWN = (Meaning.TIMEOUT, Meaning.UNREACHABLE, Meaning.CRASH, Meaning.OTHER)


def mark_of(meaning: Meaning) -> str:
    """Return the last line of the trace of a result with that meaning.

    >>> mark_of(Meaning.DATA_LOSS)
    '[means:data-loss]'
    """
    return f"[means:{meaning.value}]"


def _rule(name: str, status: str, meaning: Meaning) -> dict[str, Any]:
    rule: dict[str, Any] = {"name": f"{name}: {meaning.replace('-', ' ')}", "matchedStatuses": [status]}
    if meaning is not Meaning.OTHER:
        rule["traceRegex"] = rf"^(?:[\s\S]*\n)?\[means:{meaning}\]$"
    return rule


CATEGORIES = (
    *(_rule("Verified wrong", "failed", meaning) for meaning in _WRONG),
    *(_rule("Could not verify", "broken", meaning) for meaning in _UNKNOWN),
    {"name": "Blocked", "matchedStatuses": ["skipped"]},
)


MEANS, NODE_ID = "means", "nodeId"
"""Labels of a result: the meaning of its error, and its check."""
# Larger than what is kept of one.
_LARGEST_ATTACHMENT = 256 * 1024 * 1024
_STATUSES = {
    Verdict.PASSED: Status.PASSED,
    Verdict.FAILED: Status.FAILED,
    Verdict.BROKEN: Status.BROKEN,
    Verdict.BLOCKED: Status.SKIPPED,
}
# Fixtures through which a check reports: the record does not list them.
_PLUMBING = frozenset({"evidence", "note", "expect", "redact"})
_means = pytest.StashKey[Meaning]()


def pytest_configure(config: pytest.Config) -> None:
    """Send Allure's results to the incident's folder, unless the operator named another."""
    verification = config.stash.get(VERIFICATION, None)
    if verification is None or config.option.collectonly or not _in_use(config):
        return
    if config.option.allure_report_dir is None:
        config.option.allure_report_dir = str(verification.incident.folder / RESULTS)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Replace Allure's logger with a redacting one."""
    manager = allure_commons.plugin_manager
    original = next((p for p in manager.get_plugins() if type(p) is AllureFileLogger), None)
    if original is None:
        return
    ours = RedactingLogger(original, redactor_of(session.config))
    manager.unregister(original)
    manager.register(ours)

    def restore() -> None:
        # Allure's own clean-up expects the logger that it registered.
        manager.unregister(ours)
        manager.register(original)

    session.config.add_cleanup(restore)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Label each check with its incident, stage, subject, severity and node id."""
    verification = config.stash.get(VERIFICATION, None)
    if verification is None or not _in_use(config):
        return
    for item in items:
        for name, value in _labels(
            item.nodeid, verification.incident.id, stage_of(item), _story(item, redactor_of(config))
        ).items():
            if not allure_label(item, name):
                item.add_marker(pytest.mark.allure_label(value, label_type=name))


# Outermost, so that Allure has seen the report before.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """After a check's teardown, attach its evidence and describe its steps and values."""
    report = yield
    result = _running()
    if call.excinfo is not None:
        note_error(item, call.excinfo.value)
        details = result.statusDetails if result is not None else None
        if (
            isinstance(call.excinfo.value, Described)
            and details
            and details.message == call.excinfo.exconly()
        ):
            # pytest begins a message with the class of the error: its words say more.
            details.message = str(call.excinfo.value)
    verdict, _, means = judge(item, report, call)
    if verdict in {Verdict.FAILED, Verdict.BROKEN}:
        # The first error counts, as in Allure's own view.
        item.stash.setdefault(_means, means)
    if call.when == "teardown":
        if result is not None:
            _describe(item, result)
        for evidence in item.stash.get(EVIDENCE, []):
            allure_commons.plugin_manager.hook.attach_data(
                body=evidence.text,
                name=evidence.name,
                attachment_type=evidence.media_type,
                extension=None,
            )
    return report


def _running() -> TestResult | None:
    """Return Allure's result of the running check."""
    plugins = allure_commons.plugin_manager.get_plugins()
    listener = next((plugin for plugin in plugins if isinstance(plugin, AllureListener)), None)
    return listener.allure_logger.get_test(None) if listener is not None else None


def _describe(item: pytest.Item, result: TestResult) -> None:
    """Give the result its title, description and steps; a title that the check set stays."""
    if not allure_title(item):
        result.name = heading_of(item.name)
    result.description = "\n\n".join(_paragraphs(item))
    if _means in item.stash:
        result.labels.append(Label(name=MEANS, value=item.stash[_means].value))
    result.steps.extend(steps(item))


def _in_use(config: pytest.Config) -> bool:
    """Return True unless allure-pytest is switched off."""
    return hasattr(config.option, "allure_report_dir")


def _labels(node_id: str, incident: str, stage: str | None, story: str | None) -> dict[str, str]:
    labels = {NODE_ID: node_id, LabelType.EPIC: incident}
    if stage is not None:
        labels |= {LabelType.FEATURE: TITLES[stage], LabelType.SEVERITY: severity_of(stage)}
    if story is not None:
        labels[LabelType.STORY] = story
    return labels


def _story(item: pytest.Item, redactor: Redactor) -> str | None:
    """Return the part that a check examines: its first parameter, such as a container, or a case's store."""
    first = next(iter(parameters_of(item).values()), None)
    return redactor.text(store_in(first)) if isinstance(first, str | Case | Replica) and first else None


class RedactingLogger:
    """Lets Allure's logger write redacted results and attachments, identified by their node ids."""

    def __init__(self, inner: Any, redactor: Redactor) -> None:  # noqa: ANN401 - it is not typed
        self._inner = inner
        self._redactor = redactor

    @allure_commons.hookimpl
    def report_result(self, result: TestResult) -> None:
        """Write a result."""
        node_id = next((label.value for label in result.labels if label.name == NODE_ID), None)
        if node_id is not None:
            _identify(result, node_id)
        result = _redacted(result, self._redactor)
        if result.statusDetails is not None and result.statusDetails.trace:
            # Only after redaction: a secret that is cut has lost its shape.
            result.statusDetails.trace = cut_to(result.statusDetails.trace, TRACE_CHARACTERS)
        _add_code(result)
        self._inner.report_result(result)

    @allure_commons.hookimpl
    def report_container(self, container: TestResultContainer) -> None:
        """Write the fixtures that set up and tear down.

        Leave out pytest's own finalizers, which end when Allure has stopped watching.
        """
        container.afters = [after for after in container.afters if after.stop is not None]
        container.befores = [before for before in container.befores if before.name not in _PLUMBING]
        if container.befores or container.afters:
            self._inner.report_container(_redacted(container, self._redactor))

    @allure_commons.hookimpl
    def report_globals(self, globals_item: Globals) -> None:
        """Write attachments and errors that belong to no check."""
        self._inner.report_globals(_redacted(globals_item, self._redactor))

    @allure_commons.hookimpl
    def report_attached_file(self, source: str, file_name: str) -> None:
        """Write a redacted copy of an attached file; the original stays unchanged."""
        self.report_attached_data(read_regular(Path(source), _LARGEST_ATTACHMENT), file_name)

    @allure_commons.hookimpl
    def report_attached_data(self, body: str | bytes, file_name: str) -> None:
        """Write attached text or bytes."""
        text = isinstance(body, str)
        clean = _text(body, self._redactor).encode() if isinstance(body, str) else self._redactor.data(body)
        self._inner.report_attached_data(cut_evidence(clean, text=text), file_name)


def _add_code(result: TestResult) -> None:
    """End the trace with the code of the result's meaning: categories match this code, never a sentence."""
    codes = [mark_of(Meaning(label.value)) for label in result.labels if label.name == MEANS]
    if codes and result.statusDetails is not None:
        result.statusDetails.trace = "\n".join(filter(None, (result.statusDetails.trace, codes[0])))


def _text(value: str, redactor: Redactor) -> str:
    """Return `value` redacted, with lone surrogates (from a name that is no UTF-8) spelled out."""
    return encodable(redactor.text(value))


def _redacted(value: Any, redactor: Redactor) -> Any:  # noqa: ANN401 - Allure's models hold anything
    """Redact all texts within `value`; return it."""
    if isinstance(value, str) and not isinstance(value, Enum):
        return _text(value, redactor)
    if isinstance(value, list):
        return [_redacted(item, redactor) for item in value]
    if attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            setattr(value, field.name, _redacted(getattr(value, field.name), redactor))
    return value


def _identify(result: TestResult, node_id: str) -> None:
    """Make the node id the identity: a check's results, of all runs, belong to one test case.

    Allure would compute a history id from the test case and the parameters, so the parameters are excluded
    from it. The result of a check that never ran has no parameters.
    """
    identity = hashlib.md5(node_id.encode(), usedforsecurity=False).hexdigest()
    result.testCaseId = result.historyId = identity
    for parameter in result.parameters:
        parameter.excluded = True


def unreported(
    incident: str, stage: str, node_id: str, recorded: CheckResult | None, milliseconds: int
) -> TestResult:
    """Return the result of a check that wrote none itself.

    It follows the ledger's `recorded` result, or is *broken* without one. Start and end are `milliseconds`
    after 1970.
    """
    verdict = Verdict.BROKEN if recorded is None else recorded.verdict
    labels = _labels(node_id, incident, stage, None)
    if verdict in {Verdict.FAILED, Verdict.BROKEN}:
        labels[MEANS] = (Meaning.CRASH if recorded is None else recorded.means).value
    return TestResult(
        uuid=str(uuid.uuid4()),
        name=heading_of(node_id),
        fullName=node_id,
        status=_STATUSES[verdict],
        statusDetails=StatusDetails(message=recorded.reason if recorded else NEVER_REPORTED),
        labels=[Label(name=name, value=value) for name, value in labels.items()],
        start=milliseconds,
        stop=milliseconds,
    )


LONGEST = 500
SHOWN = 20
MOST_STEPS = 40


def note_error(item: pytest.Item, error: BaseException) -> None:
    """Keep an error's expected and observed values for a check that recorded none itself."""
    if isinstance(error, ProfileProblem):
        # It holds several errors, each with its own values: its text lists them all.
        return
    if isinstance(error, (Mismatch, Problem)) and not item.stash.get(SIDES, []):
        item.stash[SIDES] = [Sides(expected=str(error.expected), observed=str(error.observed))]


def _paragraphs(item: pytest.Item) -> Iterator[str]:
    """Yield as Markdown the check's purpose, its expected and observed values, and its notes."""

    def cell(text: str) -> str:
        """Return `text` on one line of escaped Markdown; its secrets would no longer be seen after that."""
        clean = " ".join(redactor_of(item.config).text(text).split())
        return escaped(cut_to(clean, LONGEST))

    verified = inspect.getdoc(item.obj) if isinstance(item, pytest.Function) else None
    if verified:
        yield f"**Verified:** {cell(verified)}"
    sides = item.stash.get(SIDES, [])
    if sides:
        rows = [f"| {cell(pair.expected)} | {cell(pair.observed)} |" for pair in sides[:SHOWN]]
        more = [f"| and {len(sides) - SHOWN} more | |"] if len(sides) > SHOWN else []
        yield "\n".join(["| expected | observed |", "|---|---|", *rows, *more])
    for note in item.stash.get(NOTES, [])[:SHOWN]:
        yield f"**Noted:** {cell(note.text)}"


def steps(item: pytest.Item) -> Iterator[TestStepResult]:
    """Yield the check's calls to the outside world with their times, in the order in which they began."""
    found = item.stash.get(STEPS, [])
    for step in sorted(found[:MOST_STEPS], key=lambda step: step.began):
        yield TestStepResult(
            name=step.name,
            status=Status.PASSED if step.problem is None else Status.BROKEN,
            statusDetails=None if step.problem is None else StatusDetails(message=step.problem),
            start=round(step.began * 1000),
            stop=round(step.ended * 1000),
        )
    if len(found) > MOST_STEPS:
        end, name = round(found[-1].ended * 1000), f"and {len(found) - MOST_STEPS} more, not shown"
        yield TestStepResult(name=name, status=Status.PASSED, start=end, stop=end)


_DASH = "\N{EN DASH}"
_ASCII = 128


def report_name(incident: Incident) -> str:
    """Return the report's title."""
    what = "migration" if incident.kind is IncidentKind.CHANGE else "incident"
    return f"Rollproof {_DASH} {incident.target} {_DASH} {what} {incident.id}"


def environment_of_run(
    incident: Incident, profile: Path, migration: str | None, recorded: Facts | None
) -> dict[str, str]:
    """Return target, commits, incident and versions, by the names that a report shows.

    `recorded` are the facts of the baseline, such as commit and images of the good state, if there is one.
    """
    rows = environment_of(incident, incident.rollback()) | {"Profile": profile.name}
    if migration is not None:
        rows["Migration to"] = migration
    if recorded is not None:
        rows["Baseline of commit"] = recorded.commit
        rows |= {f"Image of {c.service}": c.image for c in recorded.containers}
    rows |= {"Rollproof": own_version(), "Host": platform.node(), "Python": platform.python_version()}
    return rows | {name: version(name) for name in ("pytest", "allure-pytest")}


def environment_of(incident: Incident, rollback: RollbackRecord | None) -> dict[str, str]:
    """Return the facts from the incident's own record, by the same names."""
    rows = {"Incident": incident.id, "Target": incident.target, "Incident began": incident.started.wall}
    if rollback is not None:
        rows["Rollback"] = " ".join([rollback.kind, *rollback.names])
        rows["Rolled back to"] = rollback.commit
        if rollback.origin is not None:
            rows["Rolled back from"] = ", ".join(rollback.origin.commits)
    return rows


def write_environment(folder: Path, environment: Mapping[str, str]) -> None:
    """Write `environment` into `folder`; a later run of the same incident replaces it."""
    properties = "".join(f"{_property(key)}={_property(value)}\n" for key, value in environment.items())
    write_whole(folder / ENVIRONMENT_FILE, properties.encode("ascii"))


def _property(text: str) -> str:
    r"""Escape `text` for a Java properties file: one line, ASCII, no unintended separator.

    >>> _property("a b=ü")
    'a\\ b\\=\\u00fc'
    """
    special = str.maketrans({c: f"\\{c}" for c in "\\:=#! "} | {"\n": "\\n", "\r": "\\r", "\t": "\\t"})
    escaped = text.translate(special)
    units = escaped.encode("utf-16-be", "surrogatepass")
    pairs = (units[i : i + 2] for i in range(0, len(units), 2))
    return "".join(chr(n) if (n := int.from_bytes(p, "big")) < _ASCII else f"\\u{n:04x}" for p in pairs)
