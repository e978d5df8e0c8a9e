"""Pages made from untrusted texts by the templates in this folder: each value is redacted and escaped."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from markupsafe import Markup

from reports.text.stages import TITLES, title_of
from rollproof.system.clock import t_plus
from rollproof.verdict import Verdict

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
