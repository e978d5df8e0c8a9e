"""A page of Markdown whose texts are of foreign origin: redacted, on one line, and shown as they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from reports.summary import escaped

_NONE = "\N{EM DASH}"
# What opens a list or rules a line where a line begins with it, besides what is escaped anyway.
_OPENER = re.compile(r"^(\d*)([-+=.)])(?=[-=\s]|$)")


@dataclass(slots=True)
class Page:
    """Lines of Markdown. What a method is given is text, not Markdown; `redact` takes secrets out of it."""

    redact: Callable[[str], str]
    lines: list[str] = field(default_factory=list)

    def heading(self, text: str, level: int = 2) -> None:
        """Add a heading."""
        self._block([f"{'#' * level} {self.shown(text)}"])

    def paragraph(self, text: str) -> None:
        """Add a paragraph."""
        self._block([self.shown(text)])

    def bullets(self, texts: Iterable[str], none: str) -> None:
        """Add a list; a paragraph that says `none` where it is empty."""
        items = [f"- {self.shown(text)}" for text in texts]
        self._block(items or [self.shown(none)])

    def table(self, header: Sequence[str], rows: Iterable[Sequence[object]], none: str) -> None:
        """Add a table; a paragraph that says `none` where it has no rows. None in a cell is a dash."""
        cells = [[_NONE if cell is None else self.shown(str(cell)) for cell in row] for row in rows]
        if not cells:
            self.paragraph(none)
            return
        ruled = [list(header), ["---"] * len(header), *cells]
        self._block([f"| {' | '.join(row)} |" for row in ruled])

    def shown(self, text: str) -> str:
        """Return `text` as Markdown that shows it, without secrets."""
        # A secret is known by its own spelling, so it goes before anything is escaped.
        line = " ".join(self.redact(text).split())
        printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
        marked = escaped(printable).replace("&", "\\&")
        return _OPENER.sub(r"\1\\\2", marked)

    def text(self) -> str:
        """Return the page."""
        return "\n".join(self.lines)

    def _block(self, lines: Sequence[str]) -> None:
        self.lines += [*lines, ""]
