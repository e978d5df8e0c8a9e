"""What a start imports: help is said without what the commands work with, and in one place."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import typer.main
from typer import Context

from staging.commands import app as staging
from tests.unit.command_line import GROUP, every_command

COMMANDS = dict(every_command(GROUP))


def test_each_command_says_what_it_and_each_of_its_parameters_is() -> None:
    every = COMMANDS | dict(every_command(typer.main.get_group(staging), "staging"))
    assert len(every) > 30
    silent = [(words, one.name) for words, command in every.items() for one in command.params if not one.help]
    assert not silent
    assert not [words for words, command in every.items() if not command.help]


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
