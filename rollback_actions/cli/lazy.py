"""Commands in a table: name, one line of help, and place. A command is imported only when it is asked for.

Help is plain: it needs only Typer's own library, and never truncates a line at 80 columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from fixtures.errors import EXIT_CODES_TOLD, UsageProblem
from reports.terminal.document import ask

AS_JSON = "as_json"
"""The parameter of a command that can print a document."""


@dataclass(frozen=True, slots=True)
class At:
    """The place of a command, such as `package.module:function`, and the first line of its help."""

    place: str
    help: str

    @property
    def module(self) -> str:
        """The module that is imported for it."""
        return self.place.partition(":")[0]

    def load(self, name: str) -> TyperCommand:
        """Import the command, and return it under its name."""
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(name, epilog=EXIT_CODES_TOLD)(
            getattr(import_module(self.module), self.place.partition(":")[2])
        )
        command = get_command(app)
        assert isinstance(command, TyperCommand)  # noqa: S101 - one command makes no group
        return command


class _Listed(TyperCommand):
    """A command that is known only by the table until its arguments are read."""

    def __init__(self, name: str, at: At) -> None:
        super().__init__(name, help=at.help)
        self._name, self._at = name, at

    def get_short_help_str(self, limit: int = 0) -> str:
        """Return the whole line, however long: help breaks it."""
        return self._at.help

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:  # noqa: ANN401 - as Typer's
        """Read the arguments with the command itself, which then runs, and may owe a document."""
        command = self._at.load(self._name)
        path = " ".join([*_names(parent), info_name or self._name])
        has = any(one.name == AS_JSON for one in command.params)
        # An error in the arguments is told as they ask for it, as far as that can be known.
        ask(path if has and "--json" in args else None)
        context = command.make_context(info_name, args, parent, **extra)
        ask(path if context.params.get(AS_JSON) else None)
        return context


def _names(context: Any) -> list[str]:  # noqa: ANN401 - as Typer's
    """Return the names of the groups of a command, without that of the program."""
    return [] if context is None or context.parent is None else [*_names(context.parent), context.info_name]


class _Table(TyperGroup):
    """The command line of a table; it shows the table if no command is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - as Typer's
        """Read the name of a command.

        Raises:
            UsageProblem: there is none.
        """
        if not args:
            typer.echo(ctx.get_help())
            raise UsageProblem(
                what=ctx.command_path,
                expected=f"one of {', '.join(self.commands)}",
                observed="none",
                source="the command line",
                hint=f"{ctx.command_path} {next(iter(self.commands))} --help",
            )
        return super().parse_args(ctx, args)


def commands(about: str, table: Mapping[str, At | TyperGroup]) -> TyperGroup:
    """Return the command line of a table; a group in it has its own command line."""
    found = _Table(help=about, epilog=EXIT_CODES_TOLD, rich_markup_mode=None)
    for name, one in table.items():
        found.add_command(_Listed(name, one) if isinstance(one, At) else one, name)
    return found
