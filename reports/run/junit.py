"""JUnit's file of a run: which incident it is of, its verdict, and what did not pass as failure or error.

pytest writes the file; what only the end of a run knows is added to it afterwards, in the controller. A check
that could not be verified, or was blocked, is an error. Many CI services count failures and errors alone:
they too show that it was not verified.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from fixtures.gating.recorder import PART
from rollproof.system.files import encodable, write_whole
from rollproof.verdict import Verdict, worst

_VERDICT, _PHASE = "verdict", "phase"
_verdicts = pytest.StashKey[list[Verdict]]()
_UNVERIFIED = frozenset({Verdict.BROKEN, Verdict.BLOCKED})


# Outside the hooks that put a check's verdict on its report.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give a check's last report its phase and its verdict, which become properties of its case."""
    report = yield
    part = report.__dict__.get(PART)
    if part is not None:
        verdicts = item.stash.setdefault(_verdicts, [])
        verdicts.append(Verdict(part["verdict"]))
        if report.when == "teardown":
            report.user_properties += [(_PHASE, part["phase"]), (_VERDICT, worst(verdicts).value)]
    return report


def complete_junit(file: Path, properties: Mapping[str, str]) -> None:
    """Add `properties` to the suites in `file`, and show what was not verified as errors."""
    root = ET.parse(file).getroot()  # noqa: S314 - pytest's own
    for suite in root.iter("testsuite"):
        for case in suite.iter("testcase"):
            _show_unverified(case)
        counts = {"errors": "error", "failures": "failure", "skipped": "skipped"}
        for name, tag in counts.items():
            suite.set(name, str(sum(1 for _ in suite.iter(tag))))
        own = suite.find("properties")
        if own is None:
            own = ET.Element("properties")
            suite.insert(0, own)
        for name, value in properties.items():
            ET.SubElement(own, "property", {"name": name, "value": encodable(value)})
    write_whole(file, ET.tostring(root, encoding="utf-8", xml_declaration=True), mode=0o644)


def _show_unverified(case: ET.Element) -> None:
    found = case.find(f"properties/property[@name='{_VERDICT}']")
    verdict = None if found is None else Verdict(found.attrib["value"])
    for end in case:
        if end.tag == "skipped" or (end.tag == "failure" and verdict in _UNVERIFIED):
            end.tag = "error"
            end.set("type", (verdict or Verdict.BROKEN).value)
