"""Commands in a table, by name and place. A command is imported only when it is asked for.

Help is plain: it needs only Typer's own library, and never truncates a line at 80 columns.

A command's examples are in its own module, as they are typed after `rollproof`:
``EXAMPLES = {"FUNCTION": ("capture --target prod.toml",)}``. They stand in its help, and a test parses each.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from reports.terminal.document import ask
from rollproof.errors import EXIT_CODES_TOLD, UsageProblem
from rollproof.home import typed, version

HELP = ("-h", "--help")
VERSION = "--version"
_SETTINGS = {"help_option_names": list(HELP)}
AS_JSON = "as_json"
"""The parameter of a command that can print a document."""


@dataclass(frozen=True, slots=True)
class At:
    """The place of a command, such as `package.module:function`.

    The words after a `verbatim` one are not read, but for a first `--help`: they are another program's.
    """

    place: str
    verbatim: bool = False

    @property
    def module(self) -> str:
        """The module that is imported for it."""
        return self.place.partition(":")[0]

    @property
    def help(self) -> str:
        """The first line of its help, which is read from the module's source: that is not imported for it."""
        found = find_spec(self.module)
        tree = ast.parse(Path(str(found and found.origin)).read_text(encoding="utf-8"))
        name = self.place.partition(":")[2]
        function = next(one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == name)
        return " ".join((ast.get_docstring(function) or "").partition("\n\n")[0].split())

    def load(self, name: str) -> TyperCommand:
        """Import the command, and return it under its name."""
        module, function = import_module(self.module), self.place.partition(":")[2]
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(
            name,
            cls=_Verbatim if self.verbatim else TyperCommand,
            epilog=_ending(getattr(module, "EXAMPLES", {}).get(function, ())),
            context_settings=_SETTINGS,
        )(getattr(module, function))
        command = get_command(app)
        assert isinstance(command, TyperCommand)  # noqa: S101 - one command makes no group
        for one in command.params:
            _name_placeholder(one)
        return command


def commands_in(place: str, *names: str) -> dict[str, At]:
    """Return commands of one module, by name. Each is the function of its name.

    After the module a `place` may have the end of these functions' names: ``package.module:_command``.
    """
    module, _, end = place.partition(":")
    return {name: At(f"{module}:{name.replace('-', '_')}{end}") for name in names}


def _name_placeholder(parameter: Any) -> None:  # noqa: ANN401 - as Typer's
    """Let help call a value by its name in capitals, as texts do, and not by its type in Python."""
    kind = parameter.type_descriptor
    if parameter.metavar is None and not kind.is_choice and not getattr(parameter, "is_flag", False):
        parameter.metavar = "NUMBER" if kind.is_ranged else parameter.name.upper()
    if parameter.param_type_name == "argument":
        # Typer tells the type of an argument beside its name, and of an option in its place.
        parameter.display_type = lambda ctx: ""  # noqa: ARG005 - called by that name


def _ending(examples: Sequence[str]) -> str:
    """Return the end of a help: examples, as this user types them, and the exit codes."""
    shown = "\n".join(["\b", "Examples:", *(f"  {typed(example)}" for example in examples)])
    return f"{shown}\n\n{EXIT_CODES_TOLD}" if examples else EXIT_CODES_TOLD


class _Verbatim(TyperCommand):
    """A command whose words are for another program."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - as Typer's
        """Take all words as they are."""
        if args[:1] and args[0] in HELP:
            return super().parse_args(ctx, args[:1])
        return super().parse_args(ctx, ["--", *(args[1:] if args[:1] == ["--"] else args)])


class _Listed(TyperCommand):
    """A command that is known only by the table until its arguments are read."""

    def __init__(self, name: str, at: At) -> None:
        super().__init__(name)
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
        if args[:1] == [VERSION] and ctx.parent is None:
            typer.echo(f"rollproof {version()}")
            ctx.exit()
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help())
            raise UsageProblem(
                what=ctx.command_path,
                expected=f"one of {', '.join(self.commands)}",
                observed="none",
                source="the command line",
                hint=f"{ctx.command_path} {next(iter(self.commands))} --help",
            )
        return super().parse_args(ctx, args)


def commands(about: str, table: Mapping[str, At | TyperGroup], examples: Sequence[str] = ()) -> TyperGroup:
    """Return the command line of a table; a group in it has its own command line."""
    found = _Table(help=about, epilog=_ending(examples), context_settings=_SETTINGS, rich_markup_mode=None)
    for name, one in table.items():
        found.add_command(_Listed(name, one) if isinstance(one, At) else one, name)
    return found
