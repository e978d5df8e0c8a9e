"""Findings in a migration: place, statement, reason why it cannot be undone, and gravity; and as SARIF 2.1.0.

SARIF is what code hosts show beside the lines of a change. It is written by hand: of the libraries of its
objects one is of 2019 and untyped (sarif-om), and the others are young. It is one small object, which a test
holds against the format's own schema.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from rollproof.errors import listed, shortened

_LINE = 80
SARIF = "migration.sarif"
"""The name of the file in the folder of a run."""
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "%SRCROOT%"


class Judgement(StrEnum):
    """The gravity of a finding."""

    LOST = "cannot be undone"
    UNJUDGED = "cannot be judged"
    NOTED = "noted"


# Each rule's id, level and meaning.
_RULES = {
    Judgement.LOST: ("cannot-be-undone", "error", "A statement that loses data, or locks out the old code."),
    Judgement.UNJUDGED: ("cannot-be-judged", "warning", "A statement whose text does not tell."),
    Judgement.NOTED: ("noted", "note", "A statement that is worth knowing of."),
}
_ORDER = list(_RULES)


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement of a migration: `what` it does, and `why` it is reported."""

    file: str
    line: int
    what: str
    why: str
    judgement: Judgement

    def __str__(self) -> str:
        """Return it as a line."""
        unjudged = f"{self.judgement}, " if self.judgement is Judgement.UNJUDGED else ""
        return f"{self.file}:{self.line}: {self.what}: {unjudged}{self.why}"


@dataclass(frozen=True, slots=True)
class Linted:
    """The findings in the files of `migration` that match `patterns`."""

    migration: str
    patterns: tuple[str, ...]
    files: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def lost(self) -> tuple[Finding, ...]:
        """The findings that cannot be undone."""
        return self._of(Judgement.LOST)

    @property
    def unjudged(self) -> tuple[Finding, ...]:
        """The findings that cannot be judged by their text."""
        return self._of(Judgement.UNJUDGED)

    @property
    def source(self) -> str:
        """The source of the findings, in words."""
        return f"{len(self.files)} files of git diff HEAD {self.migration[:12]}"

    @property
    def summary(self) -> str:
        """The files and the noted findings, in a line."""
        noted = self._of(Judgement.NOTED)
        said = f"; noted: {listed([*map(str, noted)], between='; ')}" if noted else ""
        return f"{len(self.files)} files of the migration can be undone{said}"

    @property
    def text(self) -> str:
        """Patterns, files and findings, a line each."""
        return "\n".join(
            [
                f"patterns: {', '.join(self.patterns)}",
                *(f"read: {file}" for file in self.files),
                *(f"{finding.judgement}: {finding}" for finding in self.findings),
            ]
        )

    def _of(self, judgement: Judgement) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.judgement is judgement)


class Findings:
    """Collects the findings in one file."""

    def __init__(self, file: str) -> None:
        """Begin without findings."""
        self.file = file
        self.found: list[Finding] = []

    def lost(self, line: int, what: str, why: str) -> None:
        """Add a statement that cannot be undone."""
        self.found.append(Finding(self.file, line, what, why, Judgement.LOST))

    def unjudged(self, line: int, what: str, why: str) -> None:
        """Add a statement that cannot be judged."""
        self.found.append(Finding(self.file, line, what, why, Judgement.UNJUDGED))

    def noted(self, line: int, what: str, why: str) -> None:
        """Add a statement that is worth knowing."""
        self.found.append(Finding(self.file, line, what, why, Judgement.NOTED))


def short(text: str) -> str:
    """Return `text` on one line, cut if it is long."""
    return shortened(" ".join(text.split()), _LINE)


def sarif(linted: Linted | None, redact: Callable[[str], str]) -> dict[str, Any]:
    """Return the findings, or with None a run that could not judge the migration."""
    invocation: dict[str, Any] = {"executionSuccessful": linted is not None}
    if linted is None:
        text = "the migration was not judged: the gate's page says why"
        invocation["toolExecutionNotifications"] = [{"level": "error", "message": {"text": text}}]
    driver = {
        "name": "Rollproof",
        "rules": [
            {"id": name, "shortDescription": {"text": text}, "defaultConfiguration": {"level": level}}
            for name, level, text in _RULES.values()
        ],
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": "rollproof/migration/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [invocation],
        "results": [] if linted is None else list(_results(linted.findings, redact)),
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _results(findings: tuple[Finding, ...], redact: Callable[[str], str]) -> Iterator[dict[str, Any]]:
    seen: Counter[str] = Counter()
    for finding in findings:
        name, level, _ = _RULES[finding.judgement]
        file, text = redact(finding.file), redact(f"{finding.what}: {finding.why}")
        # Of what is shown: a hash without a key helps to guess the rest. The line is left out: a finding is
        # the same one when lines come or go above it.
        digest = hashlib.sha256(repr((name, file, text)).encode("utf-8", "backslashreplace")).hexdigest()
        seen[digest] += 1
        place = {"uri": quote(file.encode("utf-8", "surrogateescape")), "uriBaseId": _ROOT}
        region = {"startLine": max(1, finding.line)}
        yield {
            "ruleId": name,
            "ruleIndex": _ORDER.index(finding.judgement),
            "level": level,
            "message": {"text": text.encode("utf-8", "backslashreplace").decode()},
            "locations": [{"physicalLocation": {"artifactLocation": place, "region": region}}],
            "partialFingerprints": {"rollproofFinding/v1": f"{digest}:{seen[digest]}"},
        }
