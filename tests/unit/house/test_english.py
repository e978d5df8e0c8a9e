"""The English of the house, as far as a rule can find it: docstrings and comments name their subject."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.unit.house.prose import LONGEST, Module, Sentence, module, page, sentences_of

ROOMS = ("checks", "fixtures", "reports", "rollback_actions", "rollproof", "staging")
# Words of the trade are shorter: lacking, truncated. A sentence that begins as `HIDDEN` hides its subject.
WRONG = re.compile(r"\bfor want of\b|\bcut or made again\b")
HIDDEN = re.compile(r"^(?:#|\"\"\")\s*What (?:is|was) ")
# A text hides its subject, or it is a chain: write "the store's records".
UNCLEAR = re.compile(r"^What (?:is|was|are|were)\b(?!.*\?)|\bof (?:[\w']+ ){1,3}of (?:[\w']+ ){1,3}of\b")
# An f-string is a token of its own from Python 3.12 on.
_TEXTS = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
_PATH = re.compile(r"`((?:[\w<>]+/)+[\w<>]+\.(?:py|md|toml))`")
# Their own words are another program's.
FOREIGN = {
    "staging/images/qdrant/qdrant_stand_in": "the stand-in says what a Qdrant server says",
    "staging/application": "the application's own texts are a target's",
}


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


@pytest.fixture(scope="module")
def modules() -> dict[str, Module]:
    """Return the sentences of each product module, by its path."""
    paths = (path for room in (*ROOMS, "benchmarks") for path in sorted((ROOT / room).rglob("*.py")))
    return {str(path.relative_to(ROOT)): module(path) for path in paths}


def _too_long(sentences: Iterable[Sentence]) -> list[str]:
    return [f"{one.where}: {one.words} words: {one.text}" for one in sentences if one.words > LONGEST]


def test_no_sentence_of_a_docstring_is_longer_than_25_words(modules: Mapping[str, Module]) -> None:
    assert not [text for each in modules.values() for text in _too_long(each.docstrings)]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_sentence_of_a_page_is_longer_than_25_words(path: Path) -> None:
    assert not _too_long(page(path))


def test_what_is_said_to_people_is_short_and_negated_once(modules: Mapping[str, Module]) -> None:
    """Errors, hints, help and lines of pages: at most 25 words a sentence, and one negation a statement."""
    said = [one for path, each in modules.items() if not path.startswith(tuple(FOREIGN)) for one in each.said]
    assert not _too_long(said)
    assert not [f"{one.where}: {one.text}" for one in said if one.negations > 1 or UNCLEAR.search(one.text)]


@pytest.mark.parametrize(
    ("text", "words", "negations"),
    [
        ("A store `that is here` is [not alone](https://here.example/), and none says why.", 10, 2),
        ("Neither this nor that; nobody knows: it is not there", 10, 1),
    ],
)
def test_words_and_negations_are_counted(text: str, words: int, negations: int) -> None:
    ((_, sentence),) = sentences_of(text)
    one = Sentence("here", sentence)
    assert (one.words, one.negations) == (words, negations)


def test_code_tables_and_items_of_lists_are_apart() -> None:
    text = "# A heading\n\nOne, e.g. this. Two\ngoes on\n- three\n\n| a | table |\n```sh\ncode\n```\nFour."
    assert [sentence for _, sentence in sentences_of(text)] == [
        "One, e.g. this.",
        "Two goes on",
        "three",
        "Four.",
    ]


def test_each_module_that_contributing_names_is_there() -> None:
    """Each by its whole path, or by its end: a run is told within one room."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = [name.replace("<kind>", "mysql") for name in _PATH.findall(text)]
    assert named
    files = [path for folder in (*ROOMS, "tests", "targets", "docs") for path in (ROOT / folder).rglob("*.*")]
    places = [f"/{path.relative_to(ROOT)}" for path in files]
    assert not [name for name in named if not any(place.endswith(f"/{name}") for place in places)]
