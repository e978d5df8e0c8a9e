"""Sentences of the house: of docstrings, of pages, and of what is said to a person."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LONGEST = 25
# A span of code is a word, and so is what a field of an f-string says; of a link, its text is read.
_SPAN = re.compile(r"(`+)[^`]+?\1")
_LINK = re.compile(r"!?\[([^]]*)\]\([^)]*\)|<https?:[^>]*>")
_ITEM = re.compile(r"^\s*(?:[-*]|\d+\.) ")
# Lines that no sentence goes through: headings, rows of tables, fences, tags, sections of a docstring.
_APART = re.compile(r"\s*(?:#|\||:::|!!!|<|(?:Args|Returns|Raises|Yields|Example|Examples):$)")
_END = re.compile(r"(?<=[.!?])[)\"*_]*\s+(?=\S)")
_ABBREVIATED = re.compile(r"(?:\be\.g|\bi\.e|\bcf|\bvs)\.$")
# A statement of SQL, a line of a shell or of Python, a list of names: nobody reads it as a sentence.
_PROGRAM = re.compile(
    r"\b(?:SELECT|INSERT INTO|CREATE TABLE|ALTER TABLE|DROP TABLE) |bigint NOT NULL|NOT NULL|&& | = |-src "
    r"|^\s*(?:\w+\s+){25}|--no-|\bdef \w+\("
)
# A pair counts once.
_NEGATION = re.compile(
    r"\bneither\b.*\bnor\b|\b(?:not|no|never|none|nothing|nobody|cannot|without|nowhere)\b|n't\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Sentence:
    """One sentence, and where it is said."""

    where: str
    text: str

    @property
    def words(self) -> int:
        """How many words it has: signs between them are none."""
        return sum(any(map(str.isalnum, word)) for word in self.text.split())

    @property
    def negations(self) -> int:
        """How many negations its worst clause has: a colon or a semicolon ends a statement, too."""
        return max(len(_NEGATION.findall(clause)) for clause in re.split(r"[:;](?:\s|$)", self.text))


def sentences_of(text: str) -> Iterator[tuple[int, str]]:
    """Yield the sentences of a text in Markdown with their lines, without code and tables."""
    for line, block in _blocks(text):
        plain = _LINK.sub(r"\1", _SPAN.sub("code", block))
        begun = ""
        for part in _END.split(plain):
            begun = f"{begun} {part}" if begun else part
            if not _ABBREVIATED.search(begun):
                yield line, begun
                begun = ""
        if begun:
            yield line, begun


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """Yield paragraphs and items of lists, each as one line."""
    block: list[str] = []
    first, fence = 1, False
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        fenced = line.lstrip().startswith(("```", "~~~"))
        apart = fence or fenced or not line.strip() or _APART.match(line) is not None
        if fenced:
            fence = not fence
        if block and (apart or _ITEM.search(line)):
            yield first, " ".join(block)
            block = []
        if not apart:
            first = first if block else number
            block.append(_ITEM.sub("", line).strip())


def page(path: Path) -> Iterator[Sentence]:
    """Yield the sentences of a page in Markdown."""
    for line, sentence in sentences_of(path.read_text(encoding="utf-8")):
        yield Sentence(f"{path}:{line}", sentence)


@dataclass(frozen=True)
class Module:
    """A module's sentences: those of its docstrings, and those that it says to people."""

    docstrings: tuple[Sentence, ...]
    said: tuple[Sentence, ...]


def module(path: Path) -> Module:
    """Return the sentences of a module.

    A string below a field of a class is a docstring. What a field of an f-string says is a word. A package's
    "May import …" is no sentence but a list of packages, which a test of its own reads.
    """
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    documented = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    docstrings: list[Sentence] = []
    said: list[Sentence] = []
    for node in nodes:
        if not isinstance(node, ast.Constant | ast.JoinedStr) or id(node) in parts:
            continue
        text = _text(node)
        if " " not in text or (id(node) not in documented and _PROGRAM.search(text)):
            continue
        for line, sentence in sentences_of(text):
            if not sentence.startswith("May import "):
                where = Sentence(f"{path}:{node.lineno + line - 1}", sentence)
                (docstrings if id(node) in documented else said).append(where)
    return Module(tuple(docstrings), tuple(said))


def _text(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "".join(_text(part) if isinstance(part, ast.Constant) else "VALUE" for part in node.values)
