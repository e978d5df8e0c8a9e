"""What a start imports: help is said without what the commands work with, and in one place."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module

import pytest
from typer import Context
from typer._click import Command
from typer.core import TyperGroup

import rollproof.cli.command_line as actions
import staging.__main__ as stack
from rollproof.cli.lazy import At, commands
from rollproof.errors import EXIT_CODES_TOLD, ExitCode
from rollproof.home import version
from tests.conftest import ROOT
from tests.fork_server import ForkServer

# What no start of a command line needs before a command runs. (Typer reads a group's options with pydantic.)
HEAVY = {
    "allure_commons",
    "apprise",
    "asyncio",
    "kafka",
    "cryptography",
    "docker",
    "dotenv",
    "rollproof.profile.profile",
    "grpc",
    "httpx",
    "httpx2",
    "matplotlib",
    "minio",
    "numpy",
    "prometheus_client",
    "pydantic_settings",
    "pymilvus",
    "pymongo",
    "pymysql",
    "pytest",
    "qdrant_client",
    "redis",
    "requests",
    "rich",
    "sqlglot",
    "urllib3",
}
DOORS = [
    "rollproof",
    "rollproof rollback",
    "rollproof contacts",
    "staging",
    "tests",
]
TABLES: list[Mapping[str, At | TyperGroup]] = [
    actions.COMMANDS,
    actions.ROLLBACK,
    actions.CONTACTS,
    stack.COMMANDS,
]
COMMANDS = [(name, at) for table in TABLES for name, at in table.items() if isinstance(at, At)]
ACTIONS = [
    *(name for name, at in actions.COMMANDS.items() if isinstance(at, At)),
    *(f"rollback {name}" for name in actions.ROLLBACK),
    *(f"contacts {name}" for name in actions.CONTACTS),
]


# What every command line may import, and nothing else.
COMMON = ("typer.core", "typer._adapters", "reports.terminal.guard")
SCRIPT = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    print("IMPORTED", *sys.modules)
"""
Started = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def started() -> Iterator[Started]:
    """Run a command line where `COMMON` is imported; it says at its end what it has imported."""
    server = ForkServer(COMMON, bare=True)
    yield lambda *words: server.run("-c", SCRIPT, *words)
    server.close()


def _from_nothing(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command line in a process of its own, which says at its end what it has imported."""
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("door", [*DOORS, *(f"rollproof {name}" for name in ACTIONS)])
def test_help_imports_nothing_that_commands_work_with(started: Started, door: str) -> None:
    done = started(*door.split(), "--help")
    said, _, imported = done.stdout.partition("IMPORTED")
    assert done.returncode == 0, done.stderr
    assert "--help" in said
    assert not HEAVY & set(imported.split())


@pytest.mark.parametrize(
    "module",
    [
        "rollproof.doctor.probe_table",
        "rollproof.monitoring.monitor",
        "rollproof.stores.milvus.view",
        "rollproof.doctor.capture",
        "rollback_actions.backup.whole_backup",
        "rollback_actions.rollback.rollback_run",
    ],
)
def test_what_commands_work_with_imports_nothing_slow_that_it_does_not_need(
    started: Started, module: str
) -> None:
    """Neither pytest, which only checks need, nor SciPy, which only a search in a Milvus does."""
    done = started(module)
    assert done.returncode == 0, done.stderr
    assert not {"pytest", "scipy"} & set(done.stdout.partition("IMPORTED")[2].split())


@pytest.mark.parametrize(("name", "at"), COMMANDS)
def test_help_says_what_each_option_and_argument_is(name: str, at: At) -> None:
    assert not [one.name for one in at.load(name).params if not getattr(one, "help", None)]


@pytest.mark.parametrize(
    ("name", "at"),
    [(name, at) for table in TABLES[:3] for name, at in table.items() if isinstance(at, At)],
)
def test_each_example_is_a_command_line_that_is_understood(name: str, at: At) -> None:
    examples = import_module(at.module).EXAMPLES[at.place.partition(":")[2]]
    assert examples
    shown = at.load(name).get_help(Context(at.load(name), info_name=name))
    line = commands("", actions.COMMANDS)
    for example in examples:
        assert f"\n    rollproof {example}\n" in shown
        one: Command = line
        words = shlex.split(example)
        context = Context(one, info_name="rollproof")
        while isinstance(one, TyperGroup):
            one = one.commands[words.pop(0)]
        # Reads all options and arguments, and runs nothing.
        assert one.make_context(name, words, parent=context).command.name == name


@pytest.mark.parametrize("words", ["", "rollback", "capture", "rollback emergency", "verify", "report"])
def test_help_has_a_short_name(started: Started, words: str) -> None:
    # The whole list, which people ask for first, needs even less.
    start = started if words else _from_nothing
    short, long = (start("rollproof", *words.split(), option) for option in ("-h", "--help"))
    assert (short.returncode, long.returncode) == (0, 0)
    said, _, imported = short.stdout.partition("IMPORTED")
    assert said == long.stdout.partition("IMPORTED")[0]
    assert EXIT_CODES_TOLD in " ".join(said.split())
    assert "Examples:\n" in said
    assert words or not {"pydantic", "docker", "pytest"} & set(imported.split())


def test_the_version_is_told() -> None:
    done = _from_nothing("rollproof", "--version")
    assert done.stdout.startswith(f"rollproof {version()}\n")


@pytest.mark.parametrize(
    ("words", "observed"),
    [
        ("rollproof pla", "No such command 'pla'. Did you mean 'plan'"),
        ("rollproof rollback ful", "No such command 'ful'. Did you mean 'full'?"),
        ("rollproof contacts status --target x", "Missing option '--incident'"),
        ("rollproof plan --targe x", "No such option: --targe (Possible options: --store, --target)"),
        ("staging rehersal", "No such command 'rehersal'. Did you mean 'rehearsal'?"),
    ],
)
def test_a_mistake_is_one_error(
    started: Started, words: str, observed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROLLPROOF_TARGET", raising=False)
    done = started(*words.split())
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.count("expected a command and arguments that --help lists") == 1
    assert observed in done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("words", ["capture", "gate HEAD", "contacts status"])
def test_without_a_profile_it_is_said_what_writes_one(
    started: Started, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROLLPROOF_TARGET", raising=False)
    done = started("rollproof", *words.split())
    assert done.returncode == ExitCode.USAGE
    error, hint = done.stderr.splitlines()
    assert error.startswith(
        "target: expected the path of a profile in --target or ROLLPROOF_TARGET, observed"
    )
    assert hint.startswith("HINT: ")
    assert hint.endswith("rollproof init --project NAME")


def test_a_table_alone_shows_its_commands(started: Started) -> None:
    done = started("rollproof")
    assert done.returncode == ExitCode.USAGE
    shown = " ".join(done.stdout.partition("IMPORTED")[0].split())
    assert not [name for name, at in actions.COMMANDS.items() if f" {name} {_line(at)}" not in shown]


def _line(at: At | TyperGroup) -> str:
    return at.help or ""
