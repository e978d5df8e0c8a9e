"""The output of a command's `--json`: one JSON document, in place of lines for people.

A command gives `answer` one record, and the lines that show it: both are made of the same object. Where an
error ends the command, the edge of the command line gives the document instead, with that error as its
`problem`. Nothing else is on standard output. `docs/schemas` has the schema of each.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, Literal, Self, TypeVar

import typer

from rollproof.errors import Described, ExitCode, for_a_terminal
from rollproof.system.files import encodable
from rollproof.system.record_files import as_json

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error in a document: the parts of its two lines, and its notes."""

    what: str
    expected: str
    observed: str
    source: str
    hint: str
    also: tuple[str, ...] = ()

    @classmethod
    def of(cls, error: Described) -> Self:
        """Return the parts of `error`, each shortened as for a terminal."""
        notes = dict.fromkeys(getattr(error, "__notes__", ()))
        return cls(
            for_a_terminal(error.what),
            for_a_terminal(str(error.expected)),
            for_a_terminal(str(error.observed)),
            for_a_terminal(error.source),
            for_a_terminal(error.hint),
            tuple(map(for_a_terminal, notes)),
        )

    @property
    def summary(self) -> str:
        """Its first line: subject and both sides."""
        return f"{self.what}: expected {self.expected}, observed {self.observed} (from {self.source})"


@dataclass(frozen=True, slots=True)
class Document(Generic[Result]):
    """The findings of a command, or the problem that prevented them; `exit_code` is the command's own."""

    command: str
    exit_code: ExitCode
    result: Result | None = None
    problem: Trouble | None = None
    version: Literal[1] = 1


_pending: ContextVar[str | None] = ContextVar("document", default=None)
"""The running command, as long as its document has not been printed."""


def expect_document(command: str) -> None:
    """Note that the running command is `command`, and that it ends with a document."""
    _pending.set(command)


def expect_no_document() -> None:
    """Note that the running command ends without a document, or has printed it."""
    _pending.set(None)


def answer(
    result: Result,
    lines: Callable[[Result], Iterable[str]],
    redact: Callable[[str], str],
    code: ExitCode = ExitCode.VERIFIED,
    *,
    as_json: bool,
) -> None:
    """Print what a command found: `result` as a document if it is asked for, else its `lines`."""
    if as_json:
        _print(Document(_pending.get() or "", code, result), redact)
    else:
        for line in lines(result):
            typer.echo(redact(line))
    if code is not ExitCode.VERIFIED:
        raise typer.Exit(code)


def answer_problem(error: Described, code: ExitCode, redact: Callable[[str], str]) -> None:
    """Print the document of a command that `error` ended with `code`, if the command ends with one."""
    command = _pending.get()
    if command is not None:
        # Standard output may be closed; the exit code still has the result.
        with suppress(OSError):
            _print(Document(command, code, problem=Trouble.of(error)), redact)


def _print(document: Document[Any], redact: Callable[[str], str]) -> None:
    text = json.dumps(_clean(as_json(document), redact), sort_keys=True, indent=1, allow_nan=False)
    # An error that follows prints no second document.
    expect_no_document()
    typer.echo(text)


def _clean(value: Any, redact: Callable[[str], str]) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """Return `value` with each of its texts redacted, and half characters spelled as on a terminal.

    A text is redacted by itself: the signs between two of them are JSON's.
    """
    if isinstance(value, str):
        return encodable(redact(value))
    if isinstance(value, dict):
        return {_clean(name, redact): _clean(item, redact) for name, item in value.items()}
    return [_clean(item, redact) for item in value] if isinstance(value, list) else value
