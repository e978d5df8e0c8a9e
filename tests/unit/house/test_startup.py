"""What a start imports: help is said without what the commands work with, and in one place."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer.main
from typer import Context

from rollproof.errors import EXIT_CODES_TOLD, ExitCode
from staging.commands import app as staging
from tests.fork_server import ForkServer
from tests.unit.command_line import GROUP, every_command

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
    "sqlglot",
    "urllib3",
}
COMMANDS = dict(every_command(GROUP))


# What every command line may import, and nothing else.
COMMON = ("typer.core", "typer.rich_utils", "reports.terminal.guard")
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


@pytest.mark.parametrize("words", ["", "rollback", "verify", "capture", "contacts run"])
def test_help_imports_nothing_that_commands_work_with(started: Started, words: str) -> None:
    done = started("rollproof", *words.split(), "--help")
    said, _, imported = done.stdout.partition("IMPORTED")
    assert done.returncode == 0, done.stderr
    assert EXIT_CODES_TOLD in " ".join(said.split()) or words == "rollback"
    assert not HEAVY & set(imported.split())


@pytest.mark.parametrize(
    "module",
    [
        "rollproof.doctor.probe_table",
        "rollproof.monitoring.monitor",
        "rollproof.stores.milvus.client",
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


@pytest.mark.parametrize(
    ("words", "observed"),
    [
        ("rollproof pla", "No such command 'pla'. Did you mean 'plan'"),
        ("rollproof rollback ful", "No such command 'ful'. Did you mean 'full'?"),
        ("rollproof acknowledge HEAD --target x", "Missing option '--as'"),
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


def test_without_a_profile_it_is_said_what_writes_one(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROLLPROOF_TARGET", raising=False)
    done = started("rollproof", "capture")
    assert done.returncode == ExitCode.USAGE
    error, hint = done.stderr.splitlines()
    assert error.startswith("target: expected the path of a profile in --target or ROLLPROOF_TARGET")
    assert hint.endswith("rollproof init --project NAME")


@pytest.mark.parametrize("words", ["", "rollback"])
def test_a_group_alone_shows_its_commands(started: Started, words: str) -> None:
    done = started("rollproof", *words.split())
    assert done.returncode == ExitCode.USAGE
    names = [name for *group, name in COMMANDS if group == words.split()]
    assert names
    assert not [name for name in names if f" {name} " not in done.stdout]
