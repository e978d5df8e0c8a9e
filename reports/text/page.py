"""A page of Markdown made from untrusted texts: redacted, on one line, and escaped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from rollproof.verdict import Verdict

MARKS = {Verdict.PASSED: "✅", Verdict.FAILED: "❌", Verdict.BROKEN: "⚠️", Verdict.BLOCKED: "⏸️"}
_NONE = "\N{EM DASH}"
# The start of a line that Markdown reads as a list or a rule, if not escaped already.
_OPENER = re.compile(r"^(\d*)([-+=.)])(?=[-=\s]|$)")


@dataclass(slots=True)
class Page:
    """Lines of Markdown. Methods take plain text, not Markdown; `redact` removes its secrets."""

    redact: Callable[[str], str]
    lines: list[str] = field(default_factory=list)

    def heading(self, text: str, level: int = 2) -> None:
        """Add a heading."""
        self._block([f"{'#' * level} {self.shown(text)}"])

    def paragraph(self, text: str) -> None:
        """Add a paragraph."""
        self._block([self.shown(text)])

    def bullets(self, texts: Iterable[str], none: str) -> None:
        """Add a list, or the paragraph `none` if `texts` is empty."""
        items = [f"- {self.shown(text)}" for text in texts]
        self._block(items or [self.shown(none)])

    def table(self, header: Sequence[str], rows: Iterable[Sequence[object]], none: str) -> None:
        """Add a table, or the paragraph `none` if it is empty; a None cell becomes a dash."""
        cells = [[_NONE if cell is None else self.shown(str(cell)) for cell in row] for row in rows]
        if not cells:
            self.paragraph(none)
            return
        ruled = [list(header), ["---"] * len(header), *cells]
        self._block([f"| {' | '.join(row)} |" for row in ruled])

    def shown(self, text: str) -> str:
        """Return `text` as one line of escaped Markdown without secrets."""
        # Redact before escaping, which would change a secret's spelling.
        line = " ".join(self.redact(text).split())
        printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
        marked = escaped(printable).replace("&", "\\&")
        return _OPENER.sub(r"\1\\\2", marked)

    def text(self) -> str:
        """Return the page."""
        return "\n".join(self.lines)

    def _block(self, lines: Sequence[str]) -> None:
        self.lines += [*lines, ""]


def escaped(text: str) -> str:
    """Escape the characters of `text` that Markdown interprets."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|~" else c for c in text)
