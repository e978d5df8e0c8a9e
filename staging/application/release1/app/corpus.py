"""The documents that the service is seeded with: docstrings of the standard library and of three packages.

They need no download, read like the manuals that people upload, and are the same wherever the same
versions are installed. `corpus.py FILE` extracts them once, when the image is built; it imports nothing else
of the application.
"""

import ast
import gzip
import importlib.util
import json
import sys
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")

PACKAGES = ("numpy", "scipy", "sklearn")
_SHORTEST = 200
_SHORTEST_OF_PACKAGE = 1500
"""Characters: the packages have more than enough to choose from, so that only whole articles are taken."""
_LONGEST = 4000
_LARGEST_TOPIC = 350
_SKIPPED = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "__phello__"}
_TOPICS = {
    "network": (
        "asyncio ftplib http imaplib ipaddress poplib smtplib socket socketserver ssl urllib wsgiref xmlrpc"
    ),
    "files": (
        "fileinput filecmp fnmatch glob gzip bz2 lzma os pathlib shelve shutil tarfile tempfile "
        "zipfile zipimport"
    ),
    "text": (
        "codecs csv difflib email encodings gettext html json locale mailbox mimetypes re string textwrap xml"
    ),
    "concurrency": (
        "concurrent multiprocessing queue sched selectors subprocess threading contextlib contextvars"
    ),
    "numbers": (
        "_pydecimal _pydatetime calendar datetime decimal fractions random statistics numbers _strptime"
    ),
    "interfaces": ("cmd curses getpass tkinter turtle turtledemo _pyrepl code codeop pydoc pydoc_data"),
    "quality": (
        "bdb cProfile doctest logging pdb profile pstats timeit trace tracemalloc traceback unittest warnings"
    ),
}


@dataclass(frozen=True)
class Document:
    """A file to be uploaded: its knowledge base's topic, its name and its text."""

    topic: str
    filename: str
    text: str


def extract() -> list[Document]:
    """Read every module's docstrings; sorted, so that the same installation gives the same list.

    A topic holds at most 350 documents, picked evenly.

    Raises:
        RuntimeError: A package that the corpus is made of is not installed.
    """
    documents = list(_walk(Path(sysconfig.get_path("stdlib")), package=None))
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise RuntimeError(f"corpus: expected the package {package}, observed none (from {sys.prefix})")
        documents += _walk(Path(spec.origin).parent, package)
    documents.sort(key=lambda document: (document.topic, document.filename))
    topics = [list(group) for _, group in groupby(documents, key=lambda document: document.topic)]
    return [document for topic in topics for document in pick(topic, _LARGEST_TOPIC)]


def pick(items: list[Item], limit: int) -> list[Item]:
    """Return at most `limit` items, evenly spread over the list."""
    if len(items) <= limit:
        return items
    return [items[index * len(items) // limit] for index in range(limit)]


def save(documents: list[Document], path: Path) -> None:
    """Write the documents, compressed."""
    path.write_bytes(
        gzip.compress(json.dumps([asdict(document) for document in documents]).encode(), mtime=0)
    )


def load(path: Path) -> list[Document]:
    """Read documents that `save` wrote."""
    return [Document(**record) for record in json.loads(gzip.decompress(path.read_bytes()))]


def _walk(root: Path, package: str | None) -> Iterator[Document]:
    """Yield a document a module, class and function at the top of a module that explains itself."""
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if _SKIPPED.intersection(relative.parts):
            continue
        module = ".".join([*([package] if package else []), *relative.with_suffix("").parts])
        topic = package or _topic(relative.parts[0].removesuffix(".py"))
        with warnings.catch_warnings():
            # Sources of others: their invalid escapes are not this program's news.
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(path.read_bytes())
        for name, docstrings in _entries(tree):
            text = "\n\n".join(docstrings)[:_LONGEST]
            if len(text) >= (_SHORTEST_OF_PACKAGE if package else _SHORTEST):
                yield Document(topic, ".".join(part for part in (module, name) if part) + ".txt", text)


def _entries(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    yield "", _docstrings([tree])
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, _docstrings([node])
        elif isinstance(node, ast.ClassDef):
            methods = [
                child for child in node.body if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            ]
            yield node.name, _docstrings([node, *methods])


def _docstrings(nodes: Sequence[ast.AST]) -> list[str]:
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return [text for node in nodes if isinstance(node, kinds) and (text := ast.get_docstring(node))]


def _topic(module: str) -> str:
    return next((topic for topic, modules in _TOPICS.items() if module in modules.split()), "language")


if __name__ == "__main__":
    save(extract(), Path(sys.argv[1]))
