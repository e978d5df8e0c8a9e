"""Pages made from untrusted texts by the templates in this folder: each value is redacted and escaped."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from markupsafe import Markup

from rollproof.redaction.redactor import Redactor
from rollproof.system.clock import t_plus
from rollproof.verdict import Verdict

# Titles sort in the stages' order.
TITLES = {
    "step1": "Before 1: Backup",
    "step2": "Before 2: Saved state",
    "step3": "Before 3: Monitoring",
    "step4": "Before 4: Team notified",
    "step5": "Before 5: Staging test",
    "phase1": "Phase 1: Infrastructure",
    "phase2": "Phase 2: Connectivity",
    "phase3": "Phase 3: Functionality",
    "phase4": "Phase 4: Data integrity",
}
# Without a backup, a running service or the data, a rollback has nothing to return to.
_BLOCKERS = frozenset({"step1", "phase1", "phase4"})


def severity_of(stage: str) -> str:
    """Return the default severity, in Allure's words, for checks of `stage`."""
    return "blocker" if stage in _BLOCKERS else "critical"


def title_of(check: str) -> str:
    """Return a check's name, or node id, in words.

    >>> title_of("checks/a.py::test_backup_is_recent[redis]")
    'backup is recent: redis'
    """
    name, _, case = check.partition("[")
    words = name.rsplit("::", maxsplit=1)[-1].removeprefix("test_").replace("_", " ")
    return f"{words}: {case.removesuffix(']')}" if case else words


def heading_of(check: str) -> str:
    """Return a check's title with a capital letter.

    >>> heading_of("checks/a.py::test_backup_is_recent[redis]")
    'Backup is recent: redis'
    """
    words = title_of(check)
    return words[:1].upper() + words[1:]


MARKS = {Verdict.PASSED: "✅", Verdict.FAILED: "❌", Verdict.BROKEN: "⚠️", Verdict.BLOCKED: "⏸️"}
_NONE = "\N{EM DASH}"
# The start of a line that Markdown reads as a list or a rule; `escaped` escapes `*`, `#` and the like.
_OPENER = re.compile(r"^(\d*)([-+=.)])(?=[-=\s]|$)")
TEMPLATES = Path(__file__).parent / "templates"


def markdown(template: str, redact: Callable[[str], str], **values: object) -> str:
    """Return the page of Markdown that `template` makes of `values`; `redact` removes secrets from each."""

    def shown(value: object) -> str:
        return _NONE if value is None else in_markdown(redact(str(value)))

    return _page(template, values, shown)


def html(template: str, redact: Callable[[str], str], **values: object) -> str:
    """Return the part of an HTML page that `template` makes of `values`; see `markdown`.

    A `Markup` is taken as it is: its maker has redacted it.
    """

    def shown(value: object) -> object:
        if isinstance(value, Markup):
            return value
        return _NONE if value is None else redact(str(value))

    return _page(template, values, shown, autoescape=True)


def _page(
    template: str, values: dict[str, object], shown: Callable[[object], object], *, autoescape: bool = False
) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - else at every start of pytest

    # `shown` escapes Markdown; jinja2's own escaping is HTML's.
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=autoescape,  # noqa: S701 - see above
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"t_plus": t_plus, "words": title_of}
    environment.globals |= {"MARKS": MARKS, "TITLES": TITLES}
    return environment.get_template(template).render(values)


def in_markdown(text: str) -> str:
    """Return `text` as one line of escaped Markdown."""
    line = " ".join(text.split())
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return _OPENER.sub(r"\1\\\2", escaped(printable).replace("&", "\\&"))


def escaped(text: str) -> str:
    """Escape the characters of `text` that Markdown interprets."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|~" else c for c in text)


EVIDENCE_BYTES = 64_000
"""The most bytes of one attachment."""
TRACE_CHARACTERS = 16_000


def cut_evidence(body: bytes, *, text: bool) -> bytes:
    """Return `body`, or if it is too long, the beginning of a text, or a note in place of anything else."""
    if len(body) <= EVIDENCE_BYTES:
        return body
    if not text:
        return f"left out: {len(body)} bytes; what is no text may have {EVIDENCE_BYTES}".encode()
    start = body[:EVIDENCE_BYTES].decode(errors="ignore").encode()
    return start + f"\n[cut: the first {len(start)} of {len(body)} bytes]\n".encode()


def cut_to(text: str, most: int) -> str:
    """Return `text`, or its first `most` characters and a note of its length."""
    return text if len(text) <= most else f"{text[:most]}… [the first {most} of {len(text)} characters]"


REDACTOR = pytest.StashKey[Redactor]()


def redactor_of(config: pytest.Config) -> Redactor:
    """Return the run's redactor, which knows the profile's secrets once the session has started."""
    return config.stash[REDACTOR]
