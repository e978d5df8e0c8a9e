"""The README, `docs` and the help: commands parse, links and pictures are there, a profile loads."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path

import pytest
import typer.main
from typer import Context
from typer.core import TyperGroup

from rollproof.profile.profile import load_target
from tests.conftest import ROOT
from tests.unit.command_line import GROUP, every_command

DOCS = ROOT / "docs"
README = ROOT / "README.md"
# Usage lines of Typer's own.
COMMAND_LINE = DOCS / "reference" / "commands.md"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]
LONGEST_PROFILE = 25

_BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>[^>]+) -->\n+)?```sh\n(?P<text>.*?)```", re.DOTALL)
_OURS = r"(?:\.venv/bin/)?rollproof (?=[a-z-])"
_LINE = re.compile(rf"^{_OURS}.*$", re.MULTILINE)
_INLINE = re.compile(rf"`({_OURS}[^`\n]+)`")
_NAMED = re.compile(r"(?:\.venv/bin/)?rollproof(?: [a-z-]+)+")
# What a shell makes of the rest of a line is not the command's.
_SHELL = {">", "|", "&"}
_LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(?:#[^)\s]*)?\)")


class Unknown(Exception):
    """A command that `rollproof` would refuse."""


def _commands(page: Path) -> Iterator[str]:
    """Yield the commands of `rollproof` on a page, except those of blocks with a reason not to run them."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for block in _BLOCK.finditer(text):
        if block["reason"] is None:
            yield from _LINE.findall(block["text"])
    if page != COMMAND_LINE:
        yield from map(_mentioned, _INLINE.findall(_BLOCK.sub("", text)))


def _mentioned(line: str) -> str:
    """Return a command of a sentence. One that is named without its arguments is only looked up."""
    return f"{line} --help" if _NAMED.fullmatch(line) else line


EVERY = {page: list(dict.fromkeys(_commands(page))) for page in PAGES}


def _parse_table(group: TyperGroup, words: Sequence[str]) -> None:
    if not words or words[0] in {"--help", "-h", "--version"}:
        return
    name, *rest = words
    one = group.commands.get(name)
    if one is None:
        raise Unknown(f"{name}: not one of {', '.join(group.commands)}")
    if isinstance(one, TyperGroup):
        _parse_table(one, rest)
    elif not {"--help", "-h"} & {*rest}:
        try:
            one.make_context(name, rest, parent=typer.Context(group))
        except typer.TyperException as error:
            raise Unknown(f"{name}: {error.format_message()}") from None


@pytest.fixture(autouse=True)
def _a_target(profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLPROOF_TARGET", str(profile))
    # What some commands want to be there before they run.
    monkeypatch.chdir(profile.parent)
    Path("FILE").touch()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_command_of_a_page_is_one_that_rollproof_takes(page: Path) -> None:
    wrong = {}
    for line in EVERY[page]:
        _, *words = takewhile(lambda word: word not in _SHELL, shlex.split(line, comments=True))
        try:
            _parse_table(GROUP, words)
        except Unknown as error:
            wrong[line] = str(error)
    assert not wrong


def test_pages_have_commands() -> None:
    assert sum(map(bool, EVERY.values())) > len(PAGES) // 3


def test_links_and_pictures_are_there() -> None:
    missing = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in PAGES
        for link in _LINK.findall(re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL))
        if not (page.parent / link).exists()
    ]
    assert not missing


def test_the_first_profile_loads_and_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(text.splitlines()) <= LONGEST_PROFILE
    for name in re.findall(r'env = "(\w+)"', text):
        monkeypatch.setenv(name, "a-value-of-a-secret")
    (tmp_path / "shop.toml").write_text(text, encoding="utf-8")
    target = load_target(tmp_path / "shop.toml")
    assert target.name == tomllib.loads(text)["name"]


COMMANDS = dict(every_command(GROUP))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_example_is_a_command_line_that_is_understood(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("samples.jsonl", "record.tar.gz"):
        Path(file).touch()
    epilog = COMMANDS[words].epilog or ""
    examples = [line for line in epilog.split("\n\n") if line.startswith("rollproof ")]
    assert examples
    for example in examples:
        _, *rest = shlex.split(example)
        assert tuple(rest[: len(words)]) == words
        # Reads all options and arguments, and runs nothing.
        context = COMMANDS[words].make_context(" ".join(words), rest[len(words) :], parent=Context(GROUP))
        assert context.params
