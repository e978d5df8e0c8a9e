"""The English of the house, as far as a rule can find it: docstrings and comments name their subject."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

ROOMS = ("checks", "fixtures", "reports", "rollback_actions", "rollproof", "staging")
# Words of the trade are shorter: lacking, truncated. A sentence that begins as `HIDDEN` hides its subject.
WRONG = re.compile(r"\bfor want of\b|\bcut or made again\b")
HIDDEN = re.compile(r"^(?:#|\"\"\")\s*What (?:is|was) ")
# An f-string is a token of its own from Python 3.12 on.
_TEXTS = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
_PATH = re.compile(r"`((?:[\w<>]+/)+[\w<>]+\.(?:py|md|toml))`")


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield comments and strings of a module with their lines."""
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type in _TEXTS:
                yield token.start[0], token.string


def test_sentences_name_their_subject() -> None:
    modules = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in modules
        for line, text in _texts(path)
        if WRONG.search(text) or HIDDEN.match(text)
    ]
    assert not [*found, *(str(page) for page in PAGES if WRONG.search(page.read_text(encoding="utf-8")))]


def test_each_module_that_contributing_names_is_there() -> None:
    """Each by its whole path, or by its end: a run is told within one room."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = [name.replace("<kind>", "mysql") for name in _PATH.findall(text)]
    assert named
    files = [path for folder in (*ROOMS, "tests", "targets", "docs") for path in (ROOT / folder).rglob("*.*")]
    places = [f"/{path.relative_to(ROOT)}" for path in files]
    assert not [name for name in named if not any(place.endswith(f"/{name}") for place in places)]
